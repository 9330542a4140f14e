"""Transparent pictures: no rim, no dots, nothing of what is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from prosr_lightning import Upscaler
from prosr_lightning.pictures import recoloring
from prosr_lightning.pictures.recoloring import Recoloring
from prosr_lightning.pictures.rows import WholePicture

SIDE = 24
Y, X = np.mgrid[:SIDE, :SIDE]
DISTANCE = np.hypot(Y - 11.5, X - 11.5)
COLOUR = (200, 120, 40)


def disc(*, hard: bool) -> np.ndarray:
    """Return a disc of one colour on nothing, under which noise is hidden."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    alpha = (DISTANCE < 8.5) * 255.0 if hard else (8.5 - DISTANCE + 0.5).clip(0, 1) * 255
    pixels[..., 3] = alpha.round()
    pixels[pixels[..., 3] > 0, :3] = COLOUR
    return pixels


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("name", ["prosrn_light", "prosrgan"])
def test_a_disc_of_one_colour_has_neither_rim_nor_dots(name: str, hard: bool) -> None:
    result = Upscaler.from_pretrained(name, device="cpu").upscale(disc(hard=hard), 4)
    alpha, colour = result[..., 3].astype(int), result[..., :3].astype(int)
    assert np.abs(colour - COLOUR)[alpha > 0].max() <= 6  # dark rims were a hundred off
    y, x = np.mgrid[: 4 * SIDE, : 4 * SIDE]
    distance = np.hypot((y + 0.5) / 4 - 12, (x + 0.5) / 4 - 12)
    assert alpha[distance > 10.5].max() == 0
    assert alpha[distance < 6.5].min() == 255


def test_a_network_that_draws_detail_does_not_draw_masks() -> None:
    assert Upscaler.from_pretrained("prosrgan", device="cpu").alpha == "bicubic"
    assert Upscaler.from_pretrained("prosrn_light", device="cpu").alpha == "network"
    soft = WholePicture(disc(hard=False))
    assert Recoloring(soft, [], arrays=np, alpha="network").planes.take(0, SIDE).shape[0] == 2
    assert Recoloring(soft, [], arrays=np, alpha="bicubic").planes.take(0, SIDE).shape[0] == 1
    assert Recoloring(WholePicture(disc(hard=True)), [], arrays=np).planes.take(0, SIDE).shape[0] == 1


def test_what_is_hidden_changes_nothing() -> None:
    one, other = disc(hard=False), disc(hard=False)
    other[other[..., 3] == 0, :3] = 77
    upscaler = Upscaler.from_pretrained("prosrn_light", device="cpu")
    assert np.array_equal(upscaler.upscale(one, 2), upscaler.upscale(other, 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_spread_colours_as_the_whole_does(monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, (60, 30, 4)).astype(dtype)
    pixels[..., 3] *= (rng.random((60, 30)) < 0.02).astype(dtype)
    whole = Recoloring(WholePicture(pixels), [], arrays=np).planes.take(0, 60)
    monkeypatch.setattr(recoloring, "_PIXELS_AT_ONCE", 30 * 7)
    assert np.array_equal(Recoloring(WholePicture(pixels), [], arrays=np).planes.take(0, 60), whole)
