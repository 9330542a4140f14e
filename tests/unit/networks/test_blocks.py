from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks.blocks import (
    ConvFusion,
    InceptionFusion,
    MemoryStructure,
    PlainStructure,
    ResidualStructure,
    bilinear_kernel,
)
from prosr_lightning.networks.contract import count_layers, count_parameters

SLOPE = 0.2


def _structures(depth: int = 4, channels: int = 3) -> dict[str, nn.Module]:
    return {
        "plain": PlainStructure(depth=depth, channels=channels, negative_slope=SLOPE),
        "residual": ResidualStructure(depth=depth, channels=channels, negative_slope=SLOPE),
        "memory": MemoryStructure(depth=depth, channels=channels, negative_slope=SLOPE, skip_every=1),
        "memory, every second": MemoryStructure(depth=depth, channels=channels, negative_slope=SLOPE, skip_every=2),
    }


def _leaky(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, SLOPE * values)


def _by_hand(kind: str, structure: nn.Module, entry: Tensor) -> Tensor:
    """Fig. 4 and 6 written out for four convolutions."""
    conv = [lambda x, c=c: F.conv2d(x, c.weight, c.bias, padding=1) for c in structure.convs]  # type: ignore[misc, union-attr]
    if kind == "plain":
        return _leaky(conv[3](_leaky(conv[2](_leaky(conv[1](_leaky(conv[0](entry))))))))
    if kind == "residual":
        middle = _leaky(entry + conv[1](_leaky(conv[0](entry))))
        return _leaky(middle + conv[3](_leaky(conv[2](middle))))
    if kind == "memory":
        features = entry
        for number in range(4):
            features = _leaky(conv[number](features) + entry)
        return features
    middle = _leaky(conv[1](_leaky(conv[0](entry))) + entry)
    return _leaky(conv[3](_leaky(conv[2](middle))) + entry)


@pytest.mark.parametrize("kind", list(_structures()))
def test_structures_match_the_figure_written_out(kind: str):
    torch.manual_seed(0)
    structure = _structures()[kind].double()
    entry = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    expected = _by_hand(kind, structure, entry.clone())
    assert expected.shape == entry.shape
    torch.testing.assert_close(structure(entry), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", list(_structures()))
def test_structures_leave_their_input_as_it_was(kind: str):
    entry = torch.randn(1, 3, 4, 4)
    before = entry.clone()
    _structures()[kind](entry)
    assert torch.equal(entry, before)


def test_structures_have_equal_layers_keys_and_parameters():
    structures = list(_structures().values())
    keys = [{name: value.shape for name, value in structure.state_dict().items()} for structure in structures]
    assert all(other == keys[0] for other in keys)
    assert {count_parameters(structure) for structure in structures} == {4 * (3 * 3 * 9 + 3)}
    assert {count_layers(structure) for structure in structures} == {4}


@pytest.mark.parametrize("kind", list(_structures()))
def test_structure_gradients_in_float64(kind: str):
    torch.manual_seed(1)
    structure = _structures(channels=2)[kind].double()
    entry = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(structure, entry)


def test_skipping_beyond_the_depth_gives_the_plain_structure():
    memory = MemoryStructure(depth=3, channels=2, negative_slope=SLOPE, skip_every=4)
    plain = PlainStructure(depth=3, channels=2, negative_slope=SLOPE)
    plain.load_state_dict(memory.state_dict())
    entry = torch.randn(1, 2, 4, 4)
    assert torch.equal(memory(entry), plain(entry))


@pytest.mark.parametrize(("depth", "remedy"), [(1, "choose 2 or 2"), (5, "choose 4 or 6")])
def test_residual_structure_needs_pairs(depth: int, remedy: str):
    with pytest.raises(ConfigError, match=rf"`depth` must be even for structure=residual.*, got {depth}; {remedy}"):
        ResidualStructure(depth=depth, channels=2, negative_slope=SLOPE)


def test_conv_fusion_is_one_3x3_convolution_to_luminance():
    fusion = ConvFusion(channels=5)
    assert count_parameters(fusion) == 5 * 9 + 1
    assert fusion(torch.zeros(2, 5, 3, 4)).shape == (2, 1, 3, 4)


def test_inception_fusion_parameters_by_hand():
    fusion = InceptionFusion(channels=8, negative_slope=SLOPE)
    # four branches of 2 maps from 8, by 1x1, 3x3, 5x5 and 1x1; then 1x1 from 8 to 1
    assert count_parameters(fusion) == 2 * 8 * (1 + 9 + 25 + 1) + 4 * 2 + 8 + 1
    assert fusion(torch.zeros(2, 8, 3, 4)).shape == (2, 1, 3, 4)


def test_inception_fusion_matches_unfolded_branches():
    torch.manual_seed(2)
    fusion = InceptionFusion(channels=4, negative_slope=SLOPE).double()
    features = torch.randn(1, 4, 4, 5, dtype=torch.float64)

    def branch(conv: nn.Conv2d, image: Tensor, kernel: int) -> Tensor:
        windows = F.unfold(image, kernel, padding=kernel // 2)
        values = conv.weight.flatten(1) @ windows + conv.bias[:, None]  # type: ignore[index]  # it has a bias
        return values.reshape(1, -1, 4, 5)

    below = torch.full((1, 4, 6, 7), -torch.inf, dtype=torch.float64)
    below[..., 1:-1, 1:-1] = features
    pooled = below.unfold(2, 3, 1).unfold(3, 3, 1).amax((-1, -2))
    branches = [
        branch(fusion.branch_1x1, features, 1),
        branch(fusion.branch_3x3, features, 3),
        branch(fusion.branch_5x5, features, 5),
        branch(fusion.branch_pool, pooled, 1),
    ]
    expected = branch(fusion.merge, _leaky(torch.cat(branches, dim=1)), 1)
    torch.testing.assert_close(fusion(features), expected, rtol=1e-12, atol=1e-12)


def test_inception_fusion_gradient_in_float64():
    torch.manual_seed(3)
    fusion = InceptionFusion(channels=4, negative_slope=SLOPE).double()
    features = torch.randn(1, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fusion, features)


@pytest.mark.parametrize(("channels", "remedy"), [(2, 4), (6, 8), (63, 64)])
def test_inception_fusion_needs_four_even_branches(channels: int, remedy: int):
    with pytest.raises(
        ConfigError,
        match=rf"`channels` must be a multiple of 4 for fusion=inception.*, got {channels}; choose {remedy}\.",
    ):
        InceptionFusion(channels=channels, negative_slope=SLOPE)


def test_bilinear_kernel_by_hand():
    sixteenths = [[1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]
    assert (bilinear_kernel() * 16).tolist() == sixteenths


def test_bilinear_kernel_keeps_a_constant_inside():
    enlarged = F.conv_transpose2d(torch.ones(1, 1, 4, 4), bilinear_kernel()[None, None], stride=2, padding=1)
    assert torch.equal(enlarged[..., 1:-1, 1:-1], torch.ones(1, 1, 6, 6))
