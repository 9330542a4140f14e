from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.blind import Blind
from prosr_lightning.imaging.color import from_pixels, rgb_to_ycbcr, to_pixels
from prosr_lightning.imaging.degradation import Jpeg, Noise
from prosr_lightning.imaging.pyramid import level_pyramid
from prosr_lightning.imaging.resize import bicubic_downscale

DRAW = (0, 0, 3)
NOTHING = {"blur": 0.0, "noise": 0.0, "jpeg": 0.0, "twice": 0.0, "clean": 0.0, "interpolations": "bicubic"}


@functools.cache
def photograph() -> torch.Tensor:
    return rgb_to_ycbcr(torch.from_numpy(astronaut().copy()).permute(2, 0, 1)[None].double() / 255)


def tiles(count: int, side: int) -> torch.Tensor:
    places = np.random.default_rng(1).integers(0, 512 - side, size=(count, 2))
    return torch.cat([photograph()[..., top : top + side, left : left + side] for top, left in places]).float()


def rms(difference: torch.Tensor) -> float:
    return difference.double().square().mean().sqrt().item() * 255


@pytest.mark.parametrize("scale", [2, 4])
def test_with_nothing_switched_on_it_is_bicubic_in_8_bits(scale):
    hr = photograph()
    expected = from_pixels(to_pixels(bicubic_downscale(hr, scale)))
    assert rms(Blind(**NOTHING)(hr, scale, draw=(0,)) - expected) < 0.05  # but for halves, which fall either way


@pytest.mark.parametrize("quality", [30, 80])
def test_jpeg_alone_is_the_other_class(quality):
    hr = photograph()
    blind = Blind(**{**NOTHING, "jpeg": 1.0}, quality=quality)(hr, 2, draw=(0,))
    assert rms(blind - Jpeg(quality=quality)(hr, 2, draw=(0,))) < 0.1


def test_blur_alone_is_scipys_at_either_size():
    """The order of blur and shrinking, both linear, hardly matters."""
    hr = photograph()
    blind = Blind(**{**NOTHING, "blur": 1.0}, blur_sigma=0.8, anisotropic=0.0)
    smooth = torch.from_numpy(gaussian_filter(hr.numpy(), (0, 0, 1.6, 1.6), mode="nearest"))
    for number in range(6):
        assert rms(blind(hr, 2, draw=(number,)) - bicubic_downscale(smooth, 2)) < 1
    assert rms(bicubic_downscale(hr - smooth, 2)) > 4


@pytest.mark.parametrize("gray", [0.0, 1.0])
def test_noise_is_that_of_its_settings(gray):
    settings = {"sigma": 12, "poisson": 0.0, "gray": gray}
    even = torch.full((1, 3, 256, 256), 0.5, dtype=torch.float64)
    own = Noise(**settings)(even, 2, draw=(0,))[:, :1] * 255
    # of luminance: 12 in each plane, weighted, in a span of 219 codes for 255
    weights = 1 if gray else (0.299**2 + 0.587**2 + 0.114**2) ** 0.5
    assert own.std().item() == pytest.approx(12 * weights * 219 / 255, rel=0.02)
    for number in range(40):  # some have the noise after shrinking
        blind = Blind(**{**NOTHING, "noise": 1.0}, **settings)(even, 2, draw=(number,))[:, :1] * 255
        if blind.std().item() == pytest.approx(own.std().item(), rel=0.05):
            break
    else:
        pytest.fail("never the noise of its settings")


@pytest.mark.parametrize("how", ["bilinear", "area"])
def test_it_shrinks_by_the_interpolation_that_is_set(how):
    hr = photograph()
    arguments = {"antialias": True, "align_corners": False} if how == "bilinear" else {}
    expected = F.interpolate(hr, size=(256, 256), mode=how, **arguments)
    assert rms(Blind(**{**NOTHING, "interpolations": how})(hr, 2, draw=(0,)) - expected) < 0.5
    assert rms(bicubic_downscale(hr, 2) - expected) > 0.9


def test_two_rounds_lose_more_and_stay_in_place():
    """A picture that went through two sizes lies where it lay: no shift against bicubic is a better fit."""
    hr = photograph()
    expected = bicubic_downscale(hr, 4)[:, :1]
    for number in range(8):
        lr = Blind(**{**NOTHING, "twice": 1.0, "interpolations": ["area", "bilinear"]})(hr, 4, draw=(number,))[:, :1]
        errors = {
            (down, across): rms((lr.roll((down, across), (-2, -1)) - expected)[..., 4:-4, 4:-4])
            for down in (-1, 0, 1)
            for across in (-1, 0, 1)
        }
        assert min(errors, key=errors.__getitem__) == (0, 0)
        assert errors[0, 0] > 1


@pytest.mark.parametrize("degradation", [Blind(), Noise(), Jpeg()], ids=lambda one: one.name)
def test_patches_are_a_function_of_the_draw_and_targets_are_clean(degradation):
    hr = tiles(20, 32 + 2 * degradation.margin(4))
    planes = torch.arange(20) % 3

    def pyramid(draw):
        return level_pyramid(hr, scale=4, levels=[2, 4], degradation=degradation, draw=draw, planes=planes)

    lr, targets = pyramid(DRAW)
    other, clean = pyramid((9, 9, 9))
    assert lr.shape == (20, 1, 8, 8)
    assert all(torch.equal(targets[level], clean[level]) for level in (2, 4))
    assert not torch.equal(lr, other)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(pyramid(DRAW)[0], lr)
    margin = degradation.margin(4)
    inner = hr[..., margin:-margin, margin:-margin]
    assert torch.equal(targets[4][4], inner[4, 1:2]), "the plane that was asked for"
    assert lr[4].mean().item() == pytest.approx(inner[4, 1].mean().item(), abs=0.1)


@pytest.mark.parametrize("degradation", [Blind, Noise])
@pytest.mark.parametrize("clean", [0.0, 0.3, 1.0])
def test_a_share_of_the_patches_stays_clean(degradation, clean):
    hr = tiles(200, 48)
    lr = degradation(clean=clean).of_patches(hr, 2, draw=DRAW)
    kept = (lr == bicubic_downscale(hr, 2)).all(dim=(1, 2, 3)).float().mean().item()
    assert kept == pytest.approx(clean, abs=0.07)


def test_settings_are_part_of_the_name():
    assert Blind().name == "blind"
    assert Blind(quality=40, blur_sigma=[0.1, 2], clean=0.5).name == "blind blur_sigma=[0.1,2] quality=40"
    assert Blind(quality=[30, 95]).name == "blind", "a list is as good as a tuple"
    assert Noise(sigma=10).name == "noise sigma=10"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blur": 1.1}, "`blur` must be a share from 0 to 1, got 1.1"),
        ({"twice": -1}, "`twice` must be a share"),
        ({"anisotropic": "half"}, "`anisotropic` must be a share"),
        ({"blur_sigma": [2, 1]}, r"`blur_sigma` must be a number from 0 to 5, or two of them .*, got \[2, 1\]"),
        ({"sigma": [0, 300]}, "`sigma` must be a number from 0 to 255"),
        ({"sigma": True}, "`sigma` must be a number"),
        ({"quality": 0}, "`quality` must be a whole number from 1 to 100"),
        ({"interpolations": "nearest"}, r"`interpolations` must be some of \['bicubic', .*\], got 'nearest'"),
        ({"interpolations": []}, "`interpolations` must be some of"),
    ],
)
def test_refuses_settings_outside_their_range(changes, message):
    with pytest.raises(ConfigError, match=message):
        Blind(**changes)
