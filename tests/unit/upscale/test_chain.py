"""The chain of passes: bands, tiles, self-ensemble, and memory that runs out."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest
import skimage.data
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError, OutOfMemoryError
from prosr_lightning.imaging.bicubic import bicubic_resize
from prosr_lightning.imaging.color import rgb_to_luminance
from prosr_lightning.imaging.rows import Rows
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import load_network
from prosr_lightning.upscale.chain import Chain
from prosr_lightning.upscale.contract import Streamed
from prosr_lightning.upscale.engines import TorchEngine


def lively() -> Generator:
    """Return a small network that does something, also with its edges."""
    torch.manual_seed(0)
    network = Generator(depth=1, channels=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture
def engine() -> TorchEngine:
    return TorchEngine(lively(), device="cpu")


@pytest.fixture
def planes() -> Tensor:
    return torch.rand(2, 1, 41, 30, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("tile", ["auto", 0, 16])
@torch.inference_mode()
def test_bands_are_every_level_row_by_row(engine: TorchEngine, planes: Tensor, tile: int | str) -> None:
    bands = list(Chain(engine, scale=8, tile=tile).bands(Rows.whole(planes), every_level=True))
    for scale, expected in zip((2, 4, 8), lively().progressive(planes, 8).values(), strict=True):
        level = [band for band in bands if band.scale == scale]
        tops = [0, *torch.tensor([band.rows.shape[-2] for band in level]).cumsum(0).tolist()]
        assert [band.top for band in level] == tops[:-1]
        assert torch.allclose(torch.cat([band.rows for band in level], dim=-2), expected, atol=1e-5)
    last = Chain(engine, scale=8, tile=tile).image(planes)
    assert torch.equal(last, torch.cat([band.rows for band in bands if band.scale == 8], dim=-2))


@pytest.mark.parametrize("tile", ["auto", 16])
@torch.inference_mode()
def test_the_self_ensemble_is_the_mean_of_whole_chains(engine: TorchEngine, planes: Tensor, tile: int | str) -> None:
    network = lively()
    turned = [
        torch.rot90(side, turns, (2, 3)) for side in (planes, planes.flip(-1)) for turns in range(4)
    ]  # the eight symmetries, by other means than the chain's
    levels = [list(network.progressive(one, 4).values()) for one in turned]
    back = [
        torch.stack(
            [torch.rot90(level[number], -turns, (2, 3)) for turns, level in enumerate(levels[:4])]
            + [torch.rot90(level[number], -turns, (2, 3)).flip(-1) for turns, level in enumerate(levels[4:])]
        )
        for number in range(2)
    ]
    chain = Chain(engine, scale=4, tile=tile, self_ensemble=True)
    assert torch.allclose(chain.image(planes), back[1].mean(0), atol=1e-5)
    two, four = chain.bands(Rows.whole(planes), every_level=True)
    assert (two.scale, four.scale) == (2, 4)
    assert torch.allclose(two.rows, back[0].mean(0), atol=1e-5)
    assert torch.equal(four.rows, chain.image(planes))

    pass_by_pass = Chain(engine, scale=2, self_ensemble=True).image(two.rows)
    assert (four.rows - pass_by_pass).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(123, 90), (400, 200), (42, 240)])
@pytest.mark.parametrize("ensemble", [False, True])
@torch.inference_mode()
def test_the_last_level_is_brought_to_its_size(
    engine: TorchEngine, planes: Tensor, size: tuple[int, int], ensemble: bool
) -> None:
    bands = list(Chain(engine, scale=8, size=size, self_ensemble=ensemble).bands(Rows.whole(planes), every_level=True))
    expected = Chain(engine, scale=8, self_ensemble=ensemble).image(planes)
    last = torch.cat([band.rows for band in bands if band.scale == 8], dim=-2)
    assert torch.allclose(last, bicubic_resize(expected.double(), size).float(), atol=1e-5)
    assert sum(band.rows.shape[-2] for band in bands if band.scale == 4) == 4 * 41


@pytest.mark.parametrize("name", ["prosrn_light", "prosrn"])
@torch.inference_mode()
def test_released_weights_in_a_stream_give_what_the_whole_picture_gives(name: str) -> None:
    network = load_network(name).network
    photograph = torch.from_numpy(skimage.data.astronaut()[100:160, 100:190].copy()).permute(2, 0, 1)[None] / 255
    luminance = rgb_to_luminance(photograph)
    streamed = Chain(TorchEngine(network, device="cpu"), scale=4).image(luminance)
    assert (streamed - network.enlarge(luminance, 4)).abs().max() < 2e-6


class Global(Generator):
    receptive_radius = 1_000_000

    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr) + lr.mean()


@pytest.mark.parametrize("tile", ["auto", 16])
def test_a_network_that_looks_at_the_whole_image_is_run_once(monkeypatch: pytest.MonkeyPatch, tile: int | str) -> None:
    network, planes, seen = Global(depth=1, channels=4).eval(), torch.rand(1, 1, 40, 70), list[torch.Size]()
    enlarge = TorchEngine.enlarge

    def noting(self: TorchEngine, window: Tensor, factor: int, *, exact: bool) -> Tensor:
        seen.append(window.shape)
        return enlarge(self, window, factor, exact=exact)

    monkeypatch.setattr(TorchEngine, "enlarge", noting)
    with torch.no_grad():
        result = Chain(TorchEngine(network, device="cpu"), scale=2, tile=tile).image(planes)
        torch.testing.assert_close(result, network(planes))
    assert seen == [planes.shape]


@torch.inference_mode()
def test_passes_feed_each_other(monkeypatch: pytest.MonkeyPatch, engine: TorchEngine) -> None:
    asked = list[int]()

    def rows() -> Iterator[Tensor]:
        for top in range(0, 600, 10):
            asked.append(top)
            yield torch.rand(1, 1, 10, 30)

    monkeypatch.setattr("prosr_lightning.upscale.engines._BAND_PIXELS", 300)
    monkeypatch.setattr("prosr_lightning.upscale.engines._BAND_PIXELS_OF_A_THREAD", 0)
    bands = Chain(engine, scale=16).bands(Rows(rows(), height=600, width=30))
    assert next(bands).top == 0
    assert asked[-1] < 60  # the first rows of 16x are there before a tenth of the picture has been looked at
    assert sum(band.rows.shape[-2] for band in bands) < 16 * 600
    assert asked[-1] == 590


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_progress_of_every_pass_and_symmetry_adds_up(engine: TorchEngine, planes: Tensor, ensemble: bool) -> None:
    shares: list[float] = []
    chain = Chain(engine, scale=4, tile=16, self_ensemble=ensemble, on_progress=shares.append)
    with torch.inference_mode():
        for _ in range(2):  # a chain may be used again
            chain.image(planes)
            assert shares == sorted(shares)
            assert shares[-1] == pytest.approx(1)
            assert shares[0] < (0.02 if ensemble else 0.1)
            shares.clear()


@pytest.mark.parametrize("rows", [23, 24])
def test_when_memory_runs_out_in_bands_tiles_go_on(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rows: int
) -> None:
    image, shares = torch.rand(1, 1, 50, 40), list[float]()
    with torch.inference_mode():
        expected = Chain(engine, scale=2).image(image)
        turned = Chain(engine, scale=2, self_ensemble=True).image(image)

        def exhausted(factor: int, *, count: int, width: int) -> Streamed:
            calls = itertools.count()

            def run(lr: Tensor, *, last: bool) -> Tensor:
                if next(calls):
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
                return lively()(lr)[..., :rows, :]

            return Streamed(run, rows=20, ahead=4)

        monkeypatch.setattr(engine, "streamed", exhausted)
        with caplog.at_level(logging.WARNING):
            result = Chain(engine, scale=2, on_progress=shares.append).image(image)
        assert torch.allclose(Chain(engine, scale=2, self_ensemble=True).image(image), turned, atol=1e-5)
    assert torch.allclose(result, expected, atol=1e-5)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert "Out of memory with whole rows; going on with tiles." in caplog.text


def test_a_sum_that_memory_cannot_hold_is_an_error(
    engine: TorchEngine, planes: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "zeros", fails)
    with pytest.raises(OutOfMemoryError, match="must hold the sum of a self-ensemble, 120x164"):
        Chain(engine, scale=4, self_ensemble=True).image(planes)


@pytest.mark.parametrize("tile", [8, -1, True, "big", 20.0])
def test_wrong_tiles_are_named(engine: TorchEngine, tile: object) -> None:
    with pytest.raises(ConfigError, match="`tile` must be auto, 0 or at least 16 pixels, got"):
        Chain(engine, scale=2, tile=tile)  # type: ignore[arg-type]
