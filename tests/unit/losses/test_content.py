from __future__ import annotations

import math

import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.losses import EPS, cascade, charbonnier, content_loss, residual_loss, squared_error

HALVES = [torch.float16, torch.bfloat16]


def _images(count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 1, 5, 7, dtype=torch.float64, generator=generator) for _ in range(count)]


def test_charbonnier_keeps_the_shape_and_is_at_least_eps():
    values = charbonnier(torch.linspace(-1, 1, 21, dtype=torch.float64).reshape(3, 7))
    assert values.shape == (3, 7)
    assert values.min() == pytest.approx(EPS, rel=1e-12)


@pytest.mark.parametrize(
    ("z", "eps", "rho"), [(3.0, 4.0, 5.0), (-5.0, 12.0, 13.0), (0.0, 1e-6, 1e-6), (-8.0, 6.0, 10.0)]
)
def test_charbonnier_of_right_triangles(z: float, eps: float, rho: float):
    assert charbonnier(torch.tensor(z, dtype=torch.float64), eps=eps).item() == pytest.approx(rho, rel=1e-12)


def test_eps_is_squared():
    at_zero = charbonnier(torch.zeros(1, dtype=torch.float64)).item()
    assert at_zero == pytest.approx(1e-6, rel=1e-9)  # eps unsquared would give 1e-3, sqrt(z^2 + 1) - 1 would give 0
    assert EPS == 1e-6  # Sec. 2.2.1


def test_charbonnier_matches_plain_python():
    z = torch.linspace(-2, 2, 33, dtype=torch.float64)
    expected = [math.sqrt(value**2 + 0.3**2) for value in z.tolist()]
    assert charbonnier(z, eps=0.3).tolist() == pytest.approx(expected, rel=1e-14)


def test_charbonnier_gradient_in_float64():
    z = torch.linspace(-0.5, 0.5, 11, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: charbonnier(value, eps=0.1), z)


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
def test_charbonnier_gradient_at_zero_is_zero_in_every_precision(dtype: torch.dtype):
    z = torch.zeros(4, dtype=dtype, requires_grad=True)
    values = charbonnier(z)
    values.sum().backward()
    assert values.dtype == (torch.float32 if dtype in HALVES else dtype)
    assert values.tolist() == pytest.approx([1e-6] * 4, rel=1e-5)
    assert z.grad is not None
    assert z.grad.tolist() == [0.0] * 4  # eps^2 = 1e-12 underflows in float16: 0 / 0


@pytest.mark.parametrize("dtype", HALVES)
def test_content_loss_takes_the_difference_of_halves_in_float32(dtype: torch.dtype):
    sr, hr = (torch.full((1, 1, 2, 2), value, dtype=dtype, requires_grad=True) for value in (0.5, 0.5))
    loss = content_loss(sr, hr)
    loss.backward()
    assert loss.dtype == torch.float32
    assert sr.grad is not None
    assert torch.isfinite(sr.grad).all()


def test_content_loss_mean_and_sum():
    sr, hr = torch.zeros(2, 1, 2, 3), torch.full((2, 1, 2, 3), 3.0)
    assert content_loss(sr, hr, eps=4.0).item() == 5.0  # every element is 5
    assert content_loss(sr, hr, eps=4.0, reduction="sum").item() == 30.0  # 6 pixels of 5, mean of 2 images


def test_content_loss_is_not_squared_and_not_signed():
    hr = torch.tensor([[[[0.0, 0.0, 0.0, 0.0]]]], dtype=torch.float64)
    sr = torch.tensor([[[[0.1, -0.1, 0.3, 0.0]]]], dtype=torch.float64)
    assert content_loss(sr, hr).item() == pytest.approx(0.5 / 4, abs=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_equation_5_equals_equation_1_where_the_residual_is_hr_minus_lr_up(reduction: str):
    sr, hr, lr_up = _images()
    by_residual = residual_loss(sr, hr - lr_up, lr_up, eps=0.01, reduction=reduction)
    assert by_residual.item() == pytest.approx(content_loss(sr, hr, eps=0.01, reduction=reduction).item(), rel=1e-12)


def test_equation_5_differs_from_equation_1_for_another_residual():
    sr, hr, lr_up = _images()
    assert residual_loss(sr, hr, lr_up).item() != pytest.approx(content_loss(sr, hr).item(), rel=1e-3)


def test_residual_loss_gradient_in_float64():
    sr, hr, lr_up = (image[:1, :, :2, :2].requires_grad_() for image in _images())
    assert torch.autograd.gradcheck(lambda *images: residual_loss(*images, eps=0.1), (sr, hr, lr_up))


def test_cascade_adds_the_levels_and_their_gradients():
    levels = [torch.tensor(value, requires_grad=True) for value in (1.0, 2.0, 4.0)]
    total = cascade(iter(levels))
    total.backward()
    assert total.item() == 7.0  # a mean would give 7 / 3
    assert [level.grad.item() for level in levels if level.grad is not None] == [1.0, 1.0, 1.0]


def test_cascade_needs_a_level():
    with pytest.raises(ConfigError, match=r"`level_losses` must hold at least one level, got none; name a level"):
        cascade([])


def test_losses_refuse_images_of_different_shapes_even_where_they_broadcast():
    wide, narrow = torch.zeros(2, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    with pytest.raises(ConfigError, match=r"`sr` and `hr` must have one shape, got \(2, 1, 4, 4\) and \(1, 1, 4, 4\)"):
        content_loss(wide, narrow)
    with pytest.raises(
        ConfigError, match=r"`sr`, `residual` and `lr_up` must have one shape, got .* and \(1, 1, 4, 4\)"
    ):
        residual_loss(wide, wide, narrow)


@pytest.mark.parametrize("reduction", ["none", "Mean", ""])
def test_losses_refuse_other_reductions(reduction: str):
    image = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ConfigError, match=rf"`reduction` must be mean or sum, got '{reduction}'; choose one of them"):
        content_loss(image, image, reduction=reduction)
    with pytest.raises(ConfigError, match="`reduction` must be mean or sum"):
        residual_loss(image, image, image, reduction=reduction)


def test_decibels_are_the_negative_psnr_of_the_batch_whatever_the_size_of_the_error():
    hr = torch.rand(3, 1, 4, 4, dtype=torch.float64)
    sr = (hr + 0.1).requires_grad_(True)
    loss = squared_error(sr, hr, reduction="decibel")
    torch.testing.assert_close(loss.detach(), torch.tensor(-20.0, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss, sr)
    # d/dz 10 log10(mean z^2) = 20 / (ln 10) z / sum z^2
    torch.testing.assert_close(gradient, torch.full_like(sr, 20 / 2.302585092994046 / (0.1 * sr.numel())))
    assert torch.isfinite(squared_error(hr, hr, reduction="decibel"))
