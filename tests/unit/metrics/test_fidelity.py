from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from golden.independent import psnr as independent_psnr
from golden.independent import ssim_gaussian, ssim_skimage
from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.metrics import psnr, quantize_8bit, ssim

KINDS = ("skimage", "wang", "matlab")


@pytest.fixture
def planes(rng):
    hr = rng.uniform(16, 235, (2, 1, 37, 44))
    sr = hr + rng.normal(0, 12, hr.shape)
    return torch.from_numpy(sr / 255), torch.from_numpy(hr / 255)


def test_psnr_is_one_float64_value_an_image(planes):
    sr, hr = planes
    value = psnr(sr.float(), hr.float(), border=2)
    assert value.shape == (2,)
    assert value.dtype == torch.float64


def test_psnr_golden():
    hr = torch.zeros(3, 1, 4, 4, dtype=torch.float64)
    sr = hr + torch.tensor([0.1, 1.0, 0.0]).double().view(3, 1, 1, 1)
    assert psnr(sr, hr, border=0).tolist() == pytest.approx([20.0, 0.0, math.inf])


def test_psnr_independent(planes):
    sr, hr = planes
    cropped = [(plane[:, 0, 3:-3, 3:-3] * 255).numpy() for plane in planes]
    expected = [independent_psnr(one, other) for one, other in zip(*cropped, strict=True)]
    assert psnr(sr, hr, border=3).tolist() == pytest.approx([float(value) for value in expected], abs=1e-10)


def test_border_is_left_out_on_all_four_sides():
    hr = torch.zeros(4, 1, 9, 9)
    sr = hr.clone()
    for image, (row, column) in enumerate([(1, 4), (7, 4), (4, 1), (4, 7)]):
        sr[image, 0, row, column] = 1
    assert psnr(sr, hr, border=1).isfinite().all()
    assert psnr(sr, hr, border=2).isinf().all()
    assert psnr(sr, hr, border=0)[0].item() == pytest.approx(10 * math.log10(81))  # mean, not sum, over 9x9


def test_quantize_rounds_both_planes():
    hr = torch.full((1, 1, 4, 4), 100.4 / 255, dtype=torch.float64)
    sr = torch.full((1, 1, 4, 4), 99.6 / 255, dtype=torch.float64)
    assert psnr(sr, hr, border=0, quantize=True).isinf()
    assert psnr(sr, hr, border=0).item() == pytest.approx(20 * math.log10(255 / 0.8))


def test_quantize_8bit_rounds_halves_up_and_clips():
    levels = quantize_8bit(torch.tensor([-3.0, 0.49, 0.5, 1.5, 2.5, 254.4, 260.0], dtype=torch.float64) / 255) * 255
    assert levels.tolist() == pytest.approx([0, 0, 1, 2, 3, 254, 255])


def test_ssim_of_constant_planes():
    sr, hr = torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.25)
    luminance = (2 * 0.5 * 0.25 + 1e-4) / (0.25 + 0.0625 + 1e-4)  # C1 = (0.01 * 1)^2; no variance: the rest is 1
    assert ssim(sr, hr, border=0, kind="wang").item() == pytest.approx(luminance, abs=1e-12)
    assert ssim(sr, hr, border=0, kind="matlab").item() == pytest.approx(luminance, abs=1e-12)
    c1 = (0.01 * (0.5 - 0.25)) ** 2  # L = max(sr) - min(hr)
    expected = (2 * 0.5 * 0.25 + c1) / (0.25 + 0.0625 + c1)
    assert ssim(sr, hr, border=0, kind="skimage").item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_ssim_of_equal_planes_is_one(planes, kind):
    assert ssim(planes[0], planes[0], border=1, kind=kind).tolist() == pytest.approx([1, 1])
    flat = torch.zeros(1, 1, 16, 16)
    assert ssim(flat, flat, border=0, kind=kind).item() == pytest.approx(1)


def test_ssim_against_scikit_image_and_definitions(planes):
    sr, hr = planes
    results, truths = ((plane[:, 0, 2:-2, 2:-2] * 255).numpy() for plane in planes)
    for kind, reference in (
        ("skimage", ssim_skimage),
        ("wang", lambda a, b: ssim_gaussian(a, b, valid=True)),
        ("matlab", lambda a, b: ssim_gaussian(a, b, valid=False)),
    ):
        expected = [float(reference(a, b)) for a, b in zip(results, truths, strict=True)]
        assert ssim(sr, hr, border=2, kind=kind).tolist() == pytest.approx(expected, abs=1e-12), kind


def test_ssim_tells_result_from_truth(planes):
    """Its dynamic range is max(sr) - min(hr)."""
    sr, hr = planes
    assert ssim(sr, hr, border=0, kind="skimage")[0].item() != pytest.approx(
        ssim(hr, sr, border=0, kind="skimage")[0].item(), abs=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_planes_give_the_same_table(planes, kind):
    sr, hr = planes
    assert ssim(sr.float(), hr.float(), border=2, kind=kind).numpy() == pytest.approx(
        ssim(sr, hr, border=2, kind=kind).numpy(), abs=1e-6
    )
    assert psnr(sr.float(), hr.float(), border=2).numpy() == pytest.approx(psnr(sr, hr, border=2).numpy(), abs=1e-5)


def test_gradients(rng):
    hr = torch.from_numpy(rng.uniform(0.1, 0.9, (1, 1, 12, 12)))
    sr = torch.from_numpy(rng.uniform(0.1, 0.9, (1, 1, 12, 12))).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: psnr(one, hr, border=1), (sr,), fast_mode=True)
    assert torch.autograd.gradcheck(lambda one: ssim(one, hr, border=0, kind="wang"), (sr,), fast_mode=True)


def test_errors():
    plane = torch.zeros(1, 1, 16, 16)
    with pytest.raises(ConfigError, match="one shape"):
        psnr(plane, plane[..., 1:], border=0)
    with pytest.raises(ConfigError, match="luminance"):
        psnr(plane.expand(1, 2, 16, 16), plane.expand(1, 2, 16, 16), border=0)
    with pytest.raises(ConfigError, match="divide by 255"):
        psnr(plane.byte(), plane.byte(), border=0)
    with pytest.raises(ImageError, match="border"):
        psnr(plane, plane, border=8)
    with pytest.raises(ImageError, match="11x11 pixels after the border is removed, got 8x8"):
        ssim(plane, plane, border=4, kind="wang")
    with pytest.raises(ConfigError, match="skimage, wang, matlab, got 'gauss'"):
        ssim(plane, plane, border=0, kind="gauss")


def test_golden_values_do_not_depend_on_numpy_order(planes):
    """Non-contiguous planes, as a crop gives them."""
    sr, hr = planes
    both = psnr(sr.transpose(-1, -2), hr.transpose(-1, -2), border=2)
    assert np.allclose(both, psnr(sr, hr, border=2), atol=1e-12)
