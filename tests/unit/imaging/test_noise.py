from __future__ import annotations

import numpy as np
import pytest
import torch

from prosr_lightning.imaging.noise import add_noise, poisson_quantile

CODES = (20.0, 128.0, 230.0)


def noise_of(code: float, *, sigma: float, poisson: bool = False, gray: bool = False, planes: int = 3) -> torch.Tensor:
    """The noise alone of an even area, `(planes, H, W)`."""
    pixels = torch.full((2, planes, 256, 256), code)
    flags = [torch.full((2, 1, 1, 1), value) for value in (poisson, gray)]
    sigmas = torch.tensor([sigma, 0.0])
    noisy = add_noise(pixels, sigmas, poisson=flags[0], gray=flags[1], random=np.random.default_rng(4))
    assert torch.equal(noisy[1], pixels[1]), "no noise at 0"
    return noisy[0] - code


@pytest.mark.parametrize("code", CODES)
def test_gaussian_noise_has_its_deviation_everywhere(code):
    noise = noise_of(code, sigma=10)
    assert noise.mean().item() == pytest.approx(0, abs=0.1)
    assert noise.std().item() == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("sigma", [5, 25])
def test_poisson_noise_is_that_of_counted_photons(code, sigma):
    """Mean, deviation and skewness of numpy's Poisson numbers; the deviation at white is sigma."""
    noise = noise_of(code, sigma=sigma, poisson=True).flatten().double()
    gain = sigma**2 / 255
    counted = np.random.default_rng(5).poisson(code / gain, size=noise.numel()) * gain - code
    assert noise.mean().item() == pytest.approx(0, abs=0.03 * sigma)
    assert noise.std().item() == pytest.approx(sigma * (code / 255) ** 0.5, rel=0.03)
    assert noise.std().item() == pytest.approx(counted.std(), rel=0.02)
    skewness = [((values - values.mean()) ** 3).mean() / values.std() ** 3 for values in (noise.numpy(), counted)]
    assert skewness[0] == pytest.approx(skewness[1], abs=0.05)


def test_few_photons_are_whole_numbers_from_zero():
    normal = torch.from_numpy(np.random.default_rng(0).standard_normal(100_000))
    counts = poisson_quantile(torch.full_like(normal, 1.5), normal)
    assert torch.equal(counts, counts.round().clamp(min=0))
    expected = np.random.default_rng(1).poisson(1.5, 100_000)
    assert counts.mean().item() == pytest.approx(expected.mean(), abs=0.05)
    assert counts.std().item() == pytest.approx(expected.std(), abs=0.05)


@pytest.mark.parametrize("poisson", [True, False])
def test_gray_noise_is_alike_in_all_planes_and_colored_is_not(poisson):
    gray, colored = (noise_of(100.0, sigma=8, poisson=poisson, gray=value) for value in (True, False))
    torch.testing.assert_close(gray[0], gray[2])
    assert abs(np.corrcoef(colored[0].flatten(), colored[2].flatten())[0, 1]) < 0.02
    assert noise_of(100.0, sigma=8, poisson=poisson, planes=1).std().item() == pytest.approx(
        8 * (100 / 255 if poisson else 1) ** 0.5, rel=0.02
    )
