"""Tiled equals untiled, whatever the size, the scale and the tile; and memory that runs out."""

from __future__ import annotations

import functools
import logging

import pytest
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError, OutOfMemoryError
from prosr_lightning.imaging.rows import Rows
from prosr_lightning.imaging.tiling import Step, enlarge_bands, is_out_of_memory
from prosr_lightning.networks import Generator, SRNetwork


def lively(kind: type[Generator] = Generator, **arguments: object) -> Generator:
    """Return a network whose far-away pixels count, so that a halo too small would show."""
    torch.manual_seed(0)
    network = kind(**{"depth": 2, "channels": 4, **arguments})  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.4, 0.4)
    return network.eval()


def worst(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


def eight_bits(image: Tensor) -> Tensor:
    return image.clamp(0, 1).mul(255).round()


def enlarge_tiled(step: Step, image: Tensor, **arguments: object) -> Tensor:
    return torch.cat([band for _, band in enlarge_bands(step, Rows.whole(image), **arguments)], dim=-2)  # type: ignore[arg-type]


def progressive_tiled(network: SRNetwork, lr: Tensor, scale: int, *, tile: int) -> list[Tensor]:
    images = [lr]
    for factor, halo in network.passes(scale):
        step = functools.partial(network.enlarge, scale=factor)
        images.append(enlarge_tiled(step, images[-1], factor=factor, halo=halo, tile=tile))
    return images[1:]


SIZES = [(1, 1), (1, 40), (33, 17), (35, 50)]


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_tiled_equals_untiled(scale: int, size: tuple[int, int]) -> None:
    network, lr = lively(), torch.rand(1, 1, *size)
    whole = list(network.progressive(lr, scale).values())
    tiled = progressive_tiled(network, lr, scale, tile=16)
    assert [image.shape for image in tiled] == [image.shape for image in whole]
    for one, other in zip(tiled, whole, strict=True):
        assert worst(one, other) < 1e-5
        # float32 sums depend on the window's size in their last digit, which can tip a value between two levels
        assert (eight_bits(one) != eight_bits(other)).float().mean().item() < 1e-4


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_tiled_and_untiled_are_identical_in_8_bits(scale: int, size: tuple[int, int]) -> None:
    network, lr = lively().double(), torch.rand(1, 1, *size, dtype=torch.float64)
    whole = network.enlarge(lr, scale)
    tiled = progressive_tiled(network, lr, scale, tile=16)[-1]
    assert worst(one=tiled, other=whole) < 1e-12
    assert torch.equal(eight_bits(tiled), eight_bits(whole))


@pytest.mark.parametrize("tile", [16, 17, 23, 64, 1000, 0])
@pytest.mark.parametrize("structure", ["plain", "residual", "memory"])
@pytest.mark.parametrize("fusion", ["conv", "inception"])
@torch.inference_mode()
def test_the_halo_fits_every_structure(tile: int, structure: str, fusion: str) -> None:
    network, lr = lively(structure=structure, fusion=fusion), torch.rand(1, 1, 61, 47)
    tiled = progressive_tiled(network, lr, 2, tile=tile)[0]
    assert worst(tiled, network(lr)) < 1e-5


@torch.inference_mode()
def test_a_halo_one_pixel_too_small_shows() -> None:
    network, lr = lively(), torch.rand(1, 1, 61, 47)
    short = enlarge_tiled(network, lr, factor=2, halo=network.receptive_radius - 1, tile=16)
    assert worst(short, network(lr)) > 1e-4


@torch.inference_mode()
def test_a_network_of_several_levels_at_once_is_tiled_as_a_whole() -> None:
    class Whole(Generator):
        passes = SRNetwork.passes

    lr = torch.rand(1, 1, 40, 37)
    whole = lively(Whole)
    assert whole.passes(8) == [(8, 2 * whole.receptive_radius)]
    tiled = progressive_tiled(whole, lr, 8, tile=16)
    assert len(tiled) == 1
    assert worst(tiled[0], lively().enlarge(lr, 8)) < 1e-5


def test_passes_repeat_the_step() -> None:
    assert lively().passes(8) == [(2, 4)] * 3


def nearest(window: Tensor) -> Tensor:
    return window.repeat_interleave(2, -1).repeat_interleave(2, -2)


class Limited:
    """A step that has memory for so many pixels only."""

    def __init__(self, pixels: int, error: Exception) -> None:
        self.pixels, self.error, self.seen = pixels, error, list[tuple[int, ...]]()

    def __call__(self, window: Tensor) -> Tensor:
        if window.shape[-1] * window.shape[-2] > self.pixels:
            raise self.error
        self.seen.append(tuple(window.shape[-2:]))
        return nearest(window)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
        Exception("[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer of size 2048000000"),
    ],
)
def test_when_memory_runs_out_the_tile_is_halved_and_the_work_goes_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    image, progress = torch.rand(1, 1, 100, 70), list[int]()
    step = Limited(40 * 40, error)
    with caplog.at_level(logging.WARNING):
        result = enlarge_tiled(step, image, factor=2, halo=2, tile=0, on_tile=progress.append)
    assert torch.equal(result, nearest(image))
    assert sum(progress) == 100 * 70
    assert [record.args for record in caplog.records] == [(100, 50), (50, 25)]


def test_pixels_of_a_band_that_is_done_again_are_taken_back() -> None:
    calls = iter([None, RuntimeError("out of memory")])

    def step(window: Tensor) -> Tensor:
        if error := next(calls, None):
            raise error
        return nearest(window)

    image, progress = torch.rand(1, 1, 32, 64), list[int]()
    assert torch.equal(enlarge_tiled(step, image, factor=2, halo=0, tile=32, on_tile=progress.append), nearest(image))
    assert progress[:2] == [32 * 32, -32 * 32]
    assert sum(progress) == 32 * 64


def test_memory_too_small_for_the_smallest_tile_is_an_error() -> None:
    with pytest.raises(OutOfMemoryError, match="one tile of 16 pixels, but ran out at 25"):
        enlarge_tiled(Limited(99, MemoryError()), torch.rand(1, 1, 100, 70), factor=2, halo=2, tile=0)


def test_other_errors_are_not_mistaken_for_a_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        enlarge_tiled(Limited(9, RuntimeError("size mismatch")), torch.rand(1, 1, 20, 20), factor=2, halo=2, tile=0)


def test_bands_come_in_order_and_are_shared_out_evenly() -> None:
    bands = list(enlarge_bands(nearest, Rows.whole(torch.rand(1, 3, 50, 20)), factor=2, halo=1, tile=24))
    assert [(top, band.shape[-2]) for top, band in bands] == [(0, 34), (34, 34), (68, 32)]


@pytest.mark.parametrize("tile", [15, 1, -16])
def test_tiles_too_small_are_refused(tile: int) -> None:
    with pytest.raises(ConfigError, match="`tile` must be 0 or at least 16"):
        enlarge_tiled(nearest, torch.rand(1, 1, 20, 20), factor=2, halo=2, tile=tile)


def test_bands_begin_at_any_row() -> None:
    image = torch.rand(1, 3, 50, 20)
    (start, band), *rest = enlarge_bands(nearest, Rows.whole(image), factor=2, halo=1, tile=24, first=13)
    assert start == 26
    assert torch.equal(torch.cat([band, *(rows for _, rows in rest)], dim=-2), nearest(image)[..., 26:, :])
