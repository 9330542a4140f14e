from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import SRNetwork, SubPixelGenerator, build_network, count_layers, count_parameters
from prosr_lightning.networks.streaming import stream, streams

VARIANTS: list[dict[str, Any]] = [
    {},
    {"gate": True},
    {"branches": "parallel"},
    {"branches": "wide"},
    {"branches": "wide", "gate": True, "activation": "silu"},
    {"activation": "leaky_relu", "learn_image_up": False},
]


def lively(**settings: Any) -> SubPixelGenerator:
    """Return a small network whose every weight does something."""
    torch.manual_seed(0)
    network = SubPixelGenerator(**({"depth": 4, "channels": 8} | settings))
    with torch.no_grad():
        network.tail.weight.normal_(std=0.02)  # a residual image is small
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.normal_(std=0.05)  # biases, which zero padding must not get; the identity branch
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(("channels", "depth", "parameters"), [(32, 10, 103_220), (48, 16, 355_556), (64, 10, 409_172)])
def test_parameters_are_those_of_the_convolutions(channels: int, depth: int, parameters: int):
    network = SubPixelGenerator(channels=channels, depth=depth)
    assert count_parameters(network) == parameters
    assert parameters == channels * 10 + (depth + 1) * channels * (9 * channels + 1) + 4 * (9 * channels + 1) + 16
    assert count_layers(network) == depth + 4


@pytest.mark.parametrize("settings", VARIANTS)
def test_an_untrained_network_is_bilinear(settings: dict[str, Any]):
    lr = torch.rand(2, 1, 7, 9)
    padded = F.interpolate(lr, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(SubPixelGenerator(depth=2, channels=8, **settings)(lr), padded)


def test_forward_matches_the_equation_written_out():
    network, lr = lively(), torch.rand(1, 1, 6, 5)
    conv = [(layer.weight, layer.bias) for layer in network.convs]  # type: ignore[union-attr]
    entry = F.conv2d(lr, network.entry.weight, network.entry.bias, padding=1)
    features = entry
    for pair in (conv[:2], conv[2:]):
        inner = F.conv2d(features, *pair[0], padding=1).clamp(min=0)
        features = features + F.conv2d(inner, *pair[1], padding=1)
    merged = F.conv2d(features, network.merge.weight, network.merge.bias, padding=1) + entry
    residual = F.conv2d(merged, network.tail.weight, network.tail.bias, padding=1)
    expected = network.enlarged(lr)
    for number in range(4):
        expected[:, 0, number // 2 :: 2, number % 2 :: 2] += residual[:, number]
    torch.testing.assert_close(network(lr), expected)


def test_4x_is_2x_applied_twice():
    network, lr = lively(), torch.rand(1, 1, 5, 4)
    assert torch.equal(network.enlarge(lr, 4), network(network(lr)))


def test_a_gate_of_nothing_is_the_identity_and_changes_what_is_not():
    lr = torch.rand(1, 1, 6, 6)
    assert not torch.allclose(lively(gate=True)(lr), lively()(lr))
    pairs = SubPixelGenerator(depth=2, channels=4, gate=True)
    shortcut = torch.randn(1, 4, 3, 3)
    assert torch.equal(pairs._combine(torch.zeros_like(shortcut), shortcut), shortcut)


@pytest.mark.parametrize("branches", ["parallel", "wide"])
@pytest.mark.parametrize("gate", [False, True])
def test_folding_keeps_the_images_and_drops_the_branches(branches: str, gate: bool):
    network, lr = lively(branches=branches, gate=gate), torch.rand(2, 1, 11, 8)
    folded = network.folded()
    assert count_parameters(folded) == count_parameters(SubPixelGenerator(depth=4, channels=8))
    assert count_parameters(folded) < count_parameters(network)
    with torch.no_grad():
        assert float((folded.enlarge(lr, 4) - network.enlarge(lr, 4)).abs().max()) < 1e-5
    assert folded.folded() is folded
    assert not folded.training


class Renamed(SubPixelGenerator):
    def __init__(self, *, width: int = 8, branches: str = "wide") -> None:
        super().__init__(depth=2, channels=width, branches=branches)
        self.register_buffer("gain", torch.tensor(3.0))

    def residual(self, lr: torch.Tensor) -> torch.Tensor:
        return self.gain * super().residual(lr)  # type: ignore[operator,no-any-return]  # buffers are untyped


class Fixed(Renamed):
    def __init__(self) -> None:
        super().__init__(branches="parallel")


@pytest.mark.parametrize(("kind", "folds"), [(Renamed, True), (Fixed, False)])
def test_a_subclass_is_folded_as_itself_or_left_as_it_is(kind: type[Renamed], folds: bool):
    network, lr = kind().eval(), torch.rand(1, 1, 9, 8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
        assert float((network.folded()(lr) - network(lr)).abs().max()) < 1e-4
    assert type(network.folded()) is kind
    assert (network.folded() is not network) == folds


@pytest.mark.parametrize("branches", ["parallel", "wide"])
def test_every_branch_learns(branches: str):
    network = lively(branches=branches).requires_grad_(True)
    network(torch.rand(1, 1, 6, 6)).square().mean().backward()
    still = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == []


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_bands_equal_the_whole(settings: dict[str, Any], rows: int):
    network, lr = lively(**settings).folded(), torch.rand(2, 1, 37, 9)
    assert streams(network)
    with torch.no_grad():
        bands = torch.cat(list(stream(network, lr, rows=rows)), dim=-2)
    assert float((bands - network(lr).detach()).abs().max()) < 2e-6


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 40), (120, 33)])
@pytest.mark.parametrize("width", [8, 16, 1000])
def test_strips_equal_the_whole(size: tuple[int, int], width: int):
    network, lr = lively(), torch.rand(1, 1, *size)
    strips = torch.cat(list(stream(network, lr, strip=width, rows=2)), dim=-2)
    assert float((strips - network(lr)).abs().max()) < 1e-5


def test_branches_are_folded_before_they_stream():
    assert not streams(SubPixelGenerator(depth=2, channels=4, branches="wide"))


@pytest.mark.parametrize(("depth", "radius"), [(2, 5), (6, 9)])
def test_the_receptive_radius_is_exact(depth: int, radius: int):
    torch.manual_seed(1)
    network = SubPixelGenerator(depth=depth, channels=4, activation="silu").double().requires_grad_(True)
    torch.nn.init.normal_(network.tail.weight)
    assert network.receptive_radius == radius
    lr = torch.rand(1, 1, 1, 41, dtype=torch.float64, requires_grad=True)
    network(lr)[0, 0, 0, 40:42].sum().backward()
    assert lr.grad is not None
    seen = lr.grad[0, 0, 0].nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (20 - radius, 20 + radius)


def test_it_meets_the_contract_and_comes_back_from_its_architecture():
    network = lively(branches="parallel", activation="silu")
    assert isinstance(network, SRNetwork)
    again = build_network(network.architecture)
    again.load_state_dict(network.state_dict())
    lr = torch.rand(1, 1, 5, 5)
    assert torch.equal(again(lr), network(lr))


def test_the_image_stays_in_full_precision_under_autocast():
    network, lr = lively(branches="wide"), torch.rand(1, 1, 16, 16)
    exact = network.enlarge(lr, 4)
    with torch.autocast("cpu", torch.bfloat16):
        image = network.enlarge(lr, 4)
    assert image.dtype == torch.float32
    largest = network.residual(lr).abs().max()
    assert 0 < float((image - exact).abs().max()) < 0.05 * float(largest)  # of the residual's digits, not the image's


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 5}, "`depth` must be even for structure=subpixel, .* got 5; choose 4 or 6"),
        ({"channels": 0}, "`channels` must be a whole number >= 1, got 0"),
        ({"activation": "tanh"}, "`activation` must be one of relu, leaky_relu, silu, got 'tanh'"),
        ({"branches": "many"}, "`branches` must be one of none, parallel, wide, got 'many'"),
    ],
)
def test_arguments_outside_their_range_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        SubPixelGenerator(**settings)
