from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr
from prosr_lightning.imaging.degradation import Jpeg
from prosr_lightning.imaging.jpeg import BLOCK
from prosr_lightning.imaging.pyramid import level_pyramid
from prosr_lightning.imaging.resize import bicubic_downscale

DRAW = (0, 0, 3)


def photograph() -> torch.Tensor:
    return torch.from_numpy(astronaut().copy()).permute(2, 0, 1)[None].double() / 255


def tiles(count: int, side: int) -> torch.Tensor:
    """Overlapping cuts of a photograph's luminance."""
    luminance = rgb_to_luminance(photograph())
    places = np.random.default_rng(1).integers(0, 512 - side, size=(count, 2))
    return torch.cat([luminance[..., top : top + side, left : left + side] for top, left in places]).float()


def jpeg_file(lr: torch.Tensor, quality: int) -> torch.Tensor:
    """RGB that Pillow reads from a file of `lr`, which is RGB in [0, 1]."""
    stream = io.BytesIO()
    pixels = lr[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1)[None].double() / 255


def decibels(one: torch.Tensor, other: torch.Tensor) -> float:
    return -10 * (one - other).square().mean().log10().item()


@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_a_whole_image_is_what_a_file_gives(quality):
    """The luminance alone lacks the rounding of R, G and B that a colour file has beside its own loss (33 to 46 dB)."""
    rgb = photograph()
    file, ycbcr = rgb_to_ycbcr(jpeg_file(bicubic_downscale(rgb, 2), quality)), rgb_to_ycbcr(rgb)
    gray = Jpeg(quality=quality)(ycbcr[:, :1], 2, draw=(0,))
    assert decibels(Jpeg(quality=quality)(ycbcr, 2, draw=(0,)), file) > 56
    assert decibels(gray, file[:, :1]) > 44.5
    codes = (gray * 255 - 16) * (255 / 219)
    torch.testing.assert_close(codes, codes.round().clamp(0, 255))


def grid_begin(compressed: torch.Tensor) -> tuple[int, int]:
    """Where blocks begin: where pixels differ most from their neighbours."""
    across = compressed.diff(dim=-1).abs().mean(dim=(0, 1, 2))
    down = compressed.diff(dim=-2).abs().mean(dim=(0, 1, 3))
    return tuple(  # type: ignore[return-value]
        int(torch.stack([line[start::BLOCK].mean() for start in range(BLOCK)]).argmax() + 1) % BLOCK
        for line in (down, across)
    )


def test_the_grid_of_a_patch_begins_anywhere_and_that_of_an_image_in_its_corner():
    ramp = torch.linspace(0.2, 0.8, 512)[:, None] + torch.linspace(0, 0.1, 512)
    jpeg = Jpeg(quality=5, clean=0)
    assert grid_begin(jpeg(ramp[None, None], 2, draw=(0,))) == (0, 0)
    patches = jpeg.of_patches(ramp[None, None, :128, :128].repeat(300, 1, 1, 1), 2, draw=DRAW)
    assert len({grid_begin(patch[None]) for patch in patches}) > 55


def test_a_patch_is_that_of_a_larger_image():
    """What lies outside of the margin does not reach it, and where the margin is cut short it does."""
    jpeg, side = Jpeg(clean=0), 64
    hr = tiles(40, side + 2 * jpeg.margin(4))
    lr, targets = level_pyramid(hr, scale=4, levels=[2, 4], degradation=jpeg, draw=DRAW)
    changed = hr.clone()
    changed[..., :2, :] = 0.5  # of the margin, bicubic needs 6 pixels and the block 7 * 4
    assert torch.equal(level_pyramid(changed, scale=4, levels=[4], degradation=jpeg, draw=DRAW)[0], lr)
    changed[..., :14, :] = 0.5
    assert not torch.equal(level_pyramid(changed, scale=4, levels=[4], degradation=jpeg, draw=DRAW)[0], lr)
    inner = hr[..., jpeg.margin(4) : -jpeg.margin(4), jpeg.margin(4) : -jpeg.margin(4)]
    assert torch.equal(targets[4], inner), "the targets are clean"
    assert decibels(targets[2][..., 4:-4, 4:-4], bicubic_downscale(inner, 2)[..., 4:-4, 4:-4]) > 100


@pytest.mark.parametrize("clean", [0, 0.2, 1])
def test_a_share_of_the_patches_stays_clean_and_no_whole_image(clean):
    hr = tiles(500, 64)
    degraded = Jpeg(clean=clean).of_patches(hr, 2, draw=DRAW)
    kept = (degraded == bicubic_downscale(hr, 2)).all(dim=(1, 2, 3)).float().mean().item()
    assert kept == pytest.approx(clean, abs=0.05)
    assert not torch.equal(Jpeg(clean=clean)(hr[:1], 2, draw=(0,)), bicubic_downscale(hr[:1], 2))


def test_qualities_are_drawn_from_the_whole_range():
    hr = tiles(1, 96).repeat(400, 1, 1, 1)
    jpeg = Jpeg(quality=[30, 31], clean=0)
    found = jpeg(hr, 2, draw=DRAW)
    alone = {quality: Jpeg(quality=quality)(hr[:1], 2, draw=DRAW)[0] for quality in (30, 31)}
    counts = {quality: sum(torch.equal(one, image) for image in found) for quality, one in alone.items()}
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 150
    assert jpeg.name == "JPEG q30-31"
    assert Jpeg(quality=40).name == "JPEG q40"


def test_the_draw_alone_decides():
    hr, jpeg = tiles(8, 64), Jpeg()
    first = jpeg.of_patches(hr, 2, draw=DRAW)
    assert torch.equal(first, Jpeg().of_patches(hr, 2, draw=DRAW))
    assert not torch.equal(first, jpeg.of_patches(hr, 2, draw=(0, 0, 4)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(first, jpeg.of_patches(hr, 2, draw=DRAW))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quality": 0}, "`quality` must be a whole number from 1 to 100, or two of them with the lower first, got 0"),
        ({"quality": [95, 30]}, r"`quality` must be .* got \[95, 30\]; choose for instance 40 or \[30,95\]"),
        ({"quality": [30, 101]}, "`quality` must be"),
        ({"quality": [30, 40, 50]}, "`quality` must be"),
        ({"quality": 40.5}, "`quality` must be"),
        ({"quality": True}, "`quality` must be"),
        ({"clean": 1.5}, "`clean` must be a share from 0 to 1, got 1.5"),
        ({"clean": True}, "`clean` must be a share"),
    ],
)
def test_refuses_settings_outside_their_range(changes, message):
    with pytest.raises(ConfigError, match=message):
        Jpeg(**changes)
