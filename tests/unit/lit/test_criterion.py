from __future__ import annotations

import pytest
import torch

from prosr_lightning.imaging.resize import bicubic_downscale, bicubic_upscale
from prosr_lightning.lit.criterion import DetailCriterion
from prosr_lightning.metrics import psnr
from prosr_lightning.metrics.perceptual import gmsd, high_frequency_energy_ratio


@pytest.fixture
def images():
    torch.manual_seed(0)
    hr = (0.5 + 0.1 * bicubic_upscale(torch.randn(1, 1, 32, 32), 2) + 0.02 * torch.randn(1, 1, 64, 64)).clamp(0, 1)
    return hr, bicubic_upscale(bicubic_downscale(hr, 2), 2)


def score_of(sr, images):
    hr, bicubic = images
    criterion = DetailCriterion()
    criterion.update(sr, bicubic, hr, border=2)
    return criterion.compute()


def test_the_original_is_perfect(images):
    assert score_of(images[0] + 1e-9, images)["score"].item() == pytest.approx(0, abs=1e-3)


def test_the_formula(images):
    hr, bicubic = images
    sr = 0.5 * (hr + bicubic)
    found = score_of(sr, images)
    ratio = high_frequency_energy_ratio(sr, hr, border=2)
    distance = ratio.log2().abs() + gmsd(sr, hr, border=2) / gmsd(bicubic, hr, border=2)
    assert found["score"].item() == pytest.approx(-distance.item(), rel=1e-5)
    assert found["high_frequency"].item() == pytest.approx(ratio.item(), rel=1e-5)
    gain = psnr(sr, hr, border=2) - psnr(bicubic, hr, border=2)
    assert found["psnr_over_bicubic"].item() == pytest.approx(gain.item(), rel=1e-4)


def test_detail_is_preferred_to_blur_as_long_as_psnr_bears_it(images):
    hr, bicubic = images
    torch.manual_seed(1)
    blurred = score_of(bicubic + 0.1 * (hr - bicubic), images)
    sharp = score_of(bicubic + 0.8 * (hr - bicubic), images)
    noisy = score_of(bicubic + 0.1 * torch.randn_like(hr), images)
    assert sharp["score"] > blurred["score"] > noisy["score"]
    assert noisy["psnr_over_bicubic"] < 0


def test_a_result_below_bicubic_pays_ten_for_each_decibel(images):
    hr, bicubic = images
    found = score_of(hr + 2 * (bicubic - hr), images)  # an error twice as large: 6.02 dB
    assert found["psnr_over_bicubic"].item() == pytest.approx(-6.0206, abs=1e-3)
    assert found["score"].item() < -60


def test_it_begins_anew_after_each_validation(images):
    hr, bicubic = images
    criterion = DetailCriterion()
    criterion.update(bicubic, bicubic, hr, border=2)
    criterion.compute()
    criterion.update(hr + 1e-9, bicubic, hr, border=2)
    assert criterion.compute()["score"].item() == pytest.approx(0, abs=1e-3)


def test_a_flat_image_has_no_ratio_and_does_not_count(images):
    hr, bicubic = images
    criterion = DetailCriterion()
    sr = 0.5 * (hr + bicubic)
    criterion.update(sr, bicubic, hr, border=2)
    alone = score_of(sr, images)["high_frequency"]
    flat = torch.zeros_like(hr)
    criterion.update(flat, flat + 0.1, flat, border=2)
    assert criterion.compute()["high_frequency"] == alone
