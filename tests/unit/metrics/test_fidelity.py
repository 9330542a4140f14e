from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from skimage.metrics import structural_similarity

from golden.independent import psnr as independent_psnr
from golden.independent import ssim_gaussian, ssim_skimage
from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.metrics import psnr, quantize_8bit, ssim
from prosr_lightning.metrics.fidelity import LuminancePSNR, LuminanceSSIM

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
    assert psnr(sr, hr, border=0, data_range=10.0)[1].item() == pytest.approx(20.0)  # 20 log10(10)


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


def test_ssim_dynamic_range_is_an_argument(planes):
    sr, hr = planes
    expected = structural_similarity(hr[0, 0].numpy(), sr[0, 0].numpy(), data_range=0.7)
    assert ssim(sr, hr, border=0, kind="skimage", data_range=0.7)[0].item() == pytest.approx(expected, abs=1e-12)
    # result and truth may not be swapped: L = max(sr) - min(hr)
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
        psnr(plane.expand(1, 3, 16, 16), plane.expand(1, 3, 16, 16), border=0)
    with pytest.raises(ConfigError, match="divide by 255"):
        psnr(plane.byte(), plane.byte(), border=0)
    with pytest.raises(ImageError, match="border"):
        psnr(plane, plane, border=8)
    with pytest.raises(ImageError, match="11x11 pixels after the border is removed, got 8x8"):
        ssim(plane, plane, border=4, kind="wang")
    with pytest.raises(ConfigError, match="skimage, wang, matlab, got 'gauss'"):
        ssim(plane, plane, border=0, kind="gauss")


def test_metric_is_the_mean_of_images_not_of_batches_nor_of_pooled_errors(planes):
    hr = torch.zeros(3, 1, 8, 8, dtype=torch.float64)
    sr = hr + torch.tensor([0.1, 0.01, 0.001]).double().view(3, 1, 1, 1)  # 20, 40, 60 dB
    metric = LuminancePSNR(border=1)
    metric.update(sr[:1], hr[:1])
    metric.update(sr[1:], hr[1:])
    assert metric.compute().item() == pytest.approx(40.0)
    metric.reset()
    metric.update(sr[2:], hr[2:])
    assert metric.compute().item() == pytest.approx(60.0)
    similarity = LuminanceSSIM(border=2, kind="wang")
    similarity.update(*planes)
    assert similarity.compute().item() == pytest.approx(ssim(*planes, border=2, kind="wang").mean().item())


def test_metric_counts_a_repeated_image_once():
    hr = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    sr = hr + torch.tensor([0.1, 0.01]).double().view(2, 1, 1, 1)
    metric = LuminancePSNR(border=1, num_images=5)
    metric.update(sr, hr, torch.tensor([3, 1]))
    metric.update(sr[1:], hr[1:], torch.tensor([1]))
    assert metric.compute().item() == pytest.approx(30.0)
    with pytest.raises(ConfigError, match="index"):
        metric.update(sr, hr)
    with pytest.raises(ConfigError, match="index"):
        LuminancePSNR(border=1).update(sr, hr, torch.tensor([0, 1]))


def _rank(rank: int, address: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    metric = LuminancePSNR(border=0, num_images=3)
    levels = {0: 0.1, 1: 0.01, 2: 0.001}
    for index in [(0, 2), (1, 2)][rank]:  # the sampler repeats image 2 to fill the last step
        hr = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
        metric.update(hr + levels[index], hr, torch.tensor([index]))
    value = metric.compute().item()
    torch.distributed.destroy_process_group()
    assert abs(value - 40.0) < 1e-9, value


@pytest.mark.slow
def test_two_processes_count_no_image_twice(tmp_path):
    mp.spawn(_rank, args=((tmp_path / "rendezvous").as_uri(),), nprocs=2)


def test_golden_values_do_not_depend_on_numpy_order(planes):
    """Non-contiguous planes, as a crop gives them."""
    sr, hr = planes
    both = psnr(sr.transpose(-1, -2), hr.transpose(-1, -2), border=2)
    assert np.allclose(both, psnr(sr, hr, border=2), atol=1e-12)
