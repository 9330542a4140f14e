from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prosr_lightning import networks
from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import (
    DRCN,
    DRRN,
    ESPCN,
    FSRCNN,
    SRCNN,
    VDSR,
    DirectNetwork,
    Generator,
    LapSRN,
    MSLapSRN,
    SRNetwork,
    SRResNet,
    SubPixelGenerator,
    count_layers,
    count_parameters,
    longest_path,
    multiply_adds_per_output_pixel,
)
from prosr_lightning.networks.complexity import largest_features


def _network(method: str, scale: int, **arguments: Any) -> nn.Module:
    own_scale = {} if method in ("MSLapSRN", "Generator") else {"scale": scale}
    network = getattr(networks, method)(**own_scale, **arguments)
    assert isinstance(network, nn.Module)
    return network


@pytest.mark.parametrize(
    ("method", "scale", "arguments", "weights", "others"),
    [
        ("SRCNN", 2, {}, 8_032, 64 + 32 + 1),  # the usual count: weights
        ("FSRCNN", 4, {}, 12_464, 56 + 12 + 4 * 12 + 56 + 1 + 56 + 12 + 4 * 12 + 56),  # Table 1 of its paper; PReLU
        ("ESPCN", 2, {}, 25 * 64 + 9 * 64 * 32 + 9 * 32 * 4, 64 + 32 + 4),
        ("VDSR", 4, {}, 9 * 64 + 18 * 9 * 64 * 64 + 9 * 64, 19 * 64 + 1),  # 664,704: "about 665k"
        ("DRCN", 2, {}, 9 * 256 + 3 * 9 * 256**2 + 9 * 256, 4 * 256 + 1 + 16),
        ("DRRN", 2, {}, 297_216, 1 + 2 + 50 * 256 + 256),  # 297k in its paper; batch norm
        ("SRResNet", 4, {}, 2 * 81 * 64 + 41 * 9 * 64**2, 64 + 2 * 256 + 1 + 33 * 128 + 19),
        ("LapSRN", 2, {}, 407_441 - 769, 64 + 11 * 64 + 1),  # the authors' weights, as the next three
        ("LapSRN", 4, {}, 814_242 - 1_474, 64 + 2 * (11 * 64 + 1)),
        ("LapSRN", 8, {"depth": 5}, 667_123 - 1_219, 64 + 3 * (6 * 64 + 1)),
        ("MSLapSRN", 4, {}, 222_801 - 449, 64 + 6 * 64 + 1),
    ],
)  # fmt: skip
def test_parameters_by_hand(method: str, scale: int, arguments: dict[str, int], weights: int, others: int):
    network = _network(method, scale, **arguments)
    in_kernels = sum(p.numel() for p in network.parameters() if p.ndim == 4)
    assert (in_kernels, count_parameters(network) - in_kernels) == (weights, others)


def test_ms_lapsrn_has_equal_weights_for_every_recursion():
    assert {count_parameters(MSLapSRN(recursions=recursions)) for recursions in (2, 5, 8)} == {222_801}


@pytest.mark.parametrize(
    ("method", "table_1", "exist", "path"),
    [
        ("SRCNN", 3, 3, 3),
        ("VDSR", 20, 20, 20),
        ("DRCN", 20, 5, 2 + 16 + 2),  # the table counts the path
        ("DRRN", 52, 4, (1 + 2 * 25) * 1 + 1),
        ("ESPCN", 3, 3, 3),
        ("FSRCNN", 8, 8, 8),
        ("SRResNet", 39 - 2, 37, 37),  # the table adds two, as if the pixel shuffles were layers
        ("LapSRN", 27, 27, 1 + 2 * (10 + 1) + 1),
        ("Generator", 14, 14, 2 * 13),  # one 2x pass; two are executed
        ("MSLapSRN", None, 9, 1 + 2 * (40 + 1) + 1),  # not in Table 1; its paper says 84
    ],
)
def test_layers_against_table_1_at_4x(method: str, table_1: int | None, exist: int, path: int):
    network = _network(method, 4)
    counts = (count_layers(network), longest_path(network, 4))
    assert counts == (exist, path)
    assert table_1 is None or table_1 in counts


@pytest.mark.parametrize(
    ("network", "scale", "per_pixel"),
    [
        (SRCNN(scale=2), 2, 8_032),  # every weight once per pixel of the bicubic image
        (VDSR(scale=4, depth=3, channels=2), 4, 9 * (2 + 4 + 2)),
        (FSRCNN(scale=2), 2, 12_464 / 4),  # every weight once per LR pixel, the transposed convolution's too
        (FSRCNN(scale=4), 4, 12_464 / 16),
        (ESPCN(scale=2), 2, (25 * 64 + 9 * 64 * 32 + 9 * 32 * 4) / 4),
        (DRCN(scale=2, recursions=3, channels=2), 2, 9 * (2 + 4 + 3 * 4 + 3 * (4 + 2))),
        (DRRN(scale=2, units=3, channels=2), 2, 9 * (2 + 3 * (4 + 4) + 2)),
        (SRResNet(scale=4, blocks=1, channels=2), 4, (162 + 3 * 36 + 9 * 16) / 16 + 9 * 16 / 4 + 162),
        (LapSRN(scale=2, depth=3, channels=2), 2, (18 + 4 * 36 + 16) / 4 + 18),
        (LapSRN(scale=4, depth=3, channels=2), 4, (18 + 4 * 36 + 16) / 16 + (18 + 4 * 36 + 16) / 4 + 18),
        (MSLapSRN(depth=3, recursions=2, channels=2), 2, (18 + 7 * 36 + 16) / 4 + 18),
    ],
)
def test_multiply_adds_by_hand(network: nn.Module, scale: int, per_pixel: float):
    assert multiply_adds_per_output_pixel(network, scale) == per_pixel


def test_multiply_adds_of_prosrn_by_hand():
    per_lr_pixel, per_output_pixel = 9 * 64 + 10 * 9 * 64 * 64 + 16 * 64 * 64 + 16, 9 * 64
    counted = multiply_adds_per_output_pixel(Generator(), 2)
    assert counted == pytest.approx(per_lr_pixel / 4 + per_output_pixel, rel=1e-4)  # the image branch is padded
    assert multiply_adds_per_output_pixel(Generator(), 4) == pytest.approx(counted * (1 + 1 / 4), rel=1e-4)


class Looking(DirectNetwork):
    """A user's, that looks at the values of its input, which the "meta" device has not."""

    receptive_radius = 1

    def __init__(self) -> None:
        super().__init__(scale=2)
        self.convolution = nn.Conv2d(1, 6, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        features = self.convolution(lr) if lr.max() > 0 else lr.expand(-1, 6, -1, -1)
        return functional.pixel_shuffle(features[:, :4], 2)


@pytest.mark.parametrize(
    ("network", "values"),
    [(SubPixelGenerator(channels=8), 8), (Generator(channels=8), 8 * 4), (ESPCN(scale=2), 64), (Looking(), 6)],
)
def test_the_largest_features_for_a_pixel_of_the_input(network: SRNetwork, values: int):
    (factor, _), *_ = network.passes((network.scales or (2,))[0])
    assert largest_features(network, factor) == values


@pytest.mark.parametrize("count", [multiply_adds_per_output_pixel, longest_path])
def test_counting_leaves_the_network_as_it_was(count: Any):
    network = SRResNet(scale=2, blocks=1, channels=2).train().requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        assert count(network, 2) > 0
    assert network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("count", [multiply_adds_per_output_pixel, longest_path])
def test_counting_refuses_other_scales(count: Any):
    with pytest.raises(ConfigError, match="`scale` must be 2 for this ESPCN, which was built for it, got 4"):
        count(ESPCN(scale=2), 4)
