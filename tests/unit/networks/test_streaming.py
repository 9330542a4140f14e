"""Bands of rows give what the whole image gives, whatever the structure, the size and the bands."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from prosr_lightning.networks import Generator
from prosr_lightning.networks.blocks import MemoryStructure
from prosr_lightning.networks.streaming import stream, streams
from prosr_lightning.upscale.chain import Chain
from prosr_lightning.upscale.engines import TorchEngine


def lively(**settings: Any) -> Generator:
    """Return a small network that does something."""
    torch.manual_seed(0)
    network = Generator(**({"depth": 4, "channels": 8} | settings))
    with torch.no_grad():
        network.fusion.weight.normal_(std=0.05)
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.normal_(std=0.1)  # biases, which zero padding must not get
    return network.eval().requires_grad_(False)


def assert_same(bands: list[Tensor], expected: Tensor) -> None:
    result = torch.cat(bands, dim=-2)
    assert result.shape == expected.shape
    assert float((result - expected).abs().max()) < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"structure": "memory"},
        {"structure": "memory", "skip_every": 2},
        {"structure": "memory", "skip_every": 3},
        {"structure": "memory", "skip_every": 9},
        {"structure": "residual"},
        {"structure": "plain"},
        {"depth": 1},
        {"depth": 12, "channels": 4, "negative_slope": 0.05},
    ],
)
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_bands_equal_the_whole(settings: dict[str, Any], rows: int) -> None:
    network, lr = lively(**settings), torch.rand(1, 1, 50, 7)
    assert_same(list(stream(network, lr, rows=rows)), network(lr))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 1), (8, 40), (9, 40), (31, 2), (200, 33)])
@pytest.mark.parametrize("width", [8, 16, 1000])
@pytest.mark.parametrize("count", [1, 3])
def test_strips_equal_the_whole(size: tuple[int, int], width: int, count: int) -> None:
    network, lr = lively(), torch.rand(count, 1, *size)
    assert_same(list(stream(network, lr, strip=width, rows=2)), network(lr))


def test_bands_are_as_high_as_asked_for() -> None:
    network = lively()
    heights = [band.shape[-2] for band in stream(network, torch.rand(1, 1, 61, 5), rows=10)]
    assert heights[0] == 2 * 10 - 1  # the fusion looks one row further down
    assert set(heights[1:-1]) == {20}
    assert sum(heights) == 2 * 61


def test_layers_do_not_change_the_image() -> None:
    network, lr = lively(), torch.rand(1, 1, 40, 9)
    before = lr.clone()
    list(stream(network, lr, rows=3))
    assert torch.equal(lr, before)


def test_channels_last_stays() -> None:
    network = lively().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lr = torch.rand(1, 1, 30, 20)
    assert_same(list(stream(network, lr, strip=9, rows=1)), network(lr))


def test_networks_that_cannot_be_streamed_are_told() -> None:
    class Other(Generator):
        def forward(self, lr: Tensor) -> Tensor:
            return 0 * super().forward(lr)

    assert streams(Generator(depth=1, channels=4))
    assert not streams(Generator(depth=1, channels=4, fusion="inception"))
    assert not streams(Other(depth=1, channels=4))
    assert not streams(torch.nn.Identity())


class Gated(MemoryStructure):
    def forward(self, entry: Tensor) -> Tensor:
        return 0.5 * super().forward(entry)


def with_other(**modules: torch.nn.Module) -> Generator:
    """Return a network whose modules are others than its class has, as a subclass may set them."""
    network = lively()
    for name, module in modules.items():
        setattr(network, name, module)
    return network


@pytest.mark.parametrize(
    "modules",
    [
        {"features": Gated(depth=4, channels=8, negative_slope=0.2, skip_every=1)},
        {"features": torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3, padding=1), torch.nn.BatchNorm2d(8))},
        {"entry": torch.nn.Conv2d(1, 8, 5, padding=2)},
        {"entry": torch.nn.Conv2d(1, 8, 3, padding=1, padding_mode="reflect")},
    ],
    ids=["wiring", "no_structure", "kernel", "padding"],
)
def test_a_subclass_with_other_modules_is_not_streamed_and_gives_its_own_images(modules: dict[str, torch.nn.Module]):
    network, planes = with_other(**modules).eval(), torch.rand(1, 1, 40, 30)
    with torch.no_grad():
        result = Chain(TorchEngine(network, device="cpu"), scale=2).image(planes)
        torch.testing.assert_close(result, network(planes), atol=1e-5, rtol=0)
    assert not streams(network)


def test_a_subclass_with_other_modules_of_the_same_kind_is_streamed():
    entry = torch.nn.Conv2d(1, 8, 3, padding=1)
    assert streams(with_other(entry=torch.nn.utils.parametrizations.weight_norm(entry)))
