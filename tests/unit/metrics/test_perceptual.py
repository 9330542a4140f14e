from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from prosr_lightning.errors import ConfigError, ImageError, MissingDependencyError
from prosr_lightning.metrics import perceptual
from prosr_lightning.metrics.perceptual import gmsd, high_frequency_energy_ratio


def independent_gmsd(result, truth):
    """The authors' MATLAB code, line by line, on 0..255."""
    prewitt = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]]) / 3

    def magnitude(plane):
        averaged = convolve2d(plane, np.full((2, 2), 0.25), mode="full")[1:, 1:]  # MATLAB's 'same' for an even kernel
        halved = averaged[::2, ::2]
        return np.hypot(convolve2d(halved, prewitt, mode="same"), convolve2d(halved, prewitt.T, mode="same"))

    one, other = magnitude(result), magnitude(truth)
    return np.std((2 * one * other + 170) / (one**2 + other**2 + 170), ddof=1)


@pytest.mark.parametrize("size", [(32, 40), (33, 41)])
def test_gmsd_against_the_authors_code(rng, size):
    hr = rng.uniform(16, 235, (2, 1, *size))
    sr = hr + rng.normal(0, 20, hr.shape)
    value = gmsd(torch.from_numpy(sr / 255), torch.from_numpy(hr / 255))
    expected = [float(independent_gmsd(a[0], b[0])) for a, b in zip(sr, hr, strict=True)]
    assert value.shape == (2,)
    assert value.tolist() == pytest.approx(expected, abs=1e-12)


def test_gmsd_by_hand():
    # A square of 51 levels against black, which has no gradient: 2 x 2 of the 8 x 8 pixels that are left after halving.
    hr = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    sr = hr.clone()
    sr[..., 6:10, 6:10] = 51 / 255
    gradient = np.zeros((8, 8))
    square = np.zeros((10, 10))
    square[4:6, 4:6] = 51
    for row in range(8):
        for column in range(8):
            window = square[row : row + 3, column : column + 3]
            across = (window[:, 2].sum() - window[:, 0].sum()) / 3
            down = (window[2].sum() - window[0].sum()) / 3
            gradient[row, column] = math.hypot(across, down)
    assert gradient.max() == pytest.approx(math.hypot(34, 34))  # inside the square: two of three taps on each axis
    expected = np.std(170 / (gradient**2 + 170), ddof=1)
    assert gmsd(sr, hr).item() == pytest.approx(float(expected), abs=1e-12)


def test_gmsd_grows_with_blur_and_is_zero_for_equals(rng):
    hr = torch.from_numpy(rng.uniform(0, 1, (1, 1, 48, 48)))
    mild = 0.7 * hr + 0.3 * torch.nn.functional.avg_pool2d(hr, 3, 1, 1)
    strong = torch.nn.functional.avg_pool2d(hr, 3, 1, 1)
    assert gmsd(hr, hr).item() == 0
    assert 0 < gmsd(mild, hr, border=2).item() < gmsd(strong, hr, border=2).item()


def waves(low, high):
    x = torch.arange(64, dtype=torch.float64)
    row = 0.5 + low * torch.sin(2 * math.pi * x * 4 / 64) + high * torch.sin(2 * math.pi * x * 24 / 64)
    return row.expand(1, 1, 64, 64).clone()


def test_high_frequency_ratio_is_a_ratio_of_energies():
    hr = waves(0.2, 0.1)
    assert high_frequency_energy_ratio(waves(0.2, 0.05), hr).item() == pytest.approx(0.25, abs=1e-6)  # (1/2)^2
    assert high_frequency_energy_ratio(waves(0.1, 0.2), hr).item() == pytest.approx(4.0, abs=1e-5)  # low half ignored
    assert high_frequency_energy_ratio(hr.transpose(-1, -2), hr).item() == pytest.approx(1.0)  # radial
    assert high_frequency_energy_ratio(waves(0.1, 0.1), hr, cutoff=0.03).item() == pytest.approx(0.4, abs=1e-3)


def test_border_and_errors(rng):
    hr = torch.from_numpy(rng.uniform(0, 1, (1, 1, 24, 24)))
    sr = hr.clone()
    sr[..., 0, :] = 0
    assert gmsd(sr, hr).item() > 0
    assert gmsd(sr, hr, border=1).item() == 0
    assert high_frequency_energy_ratio(sr, hr, border=1).item() == 1
    with pytest.raises(ConfigError, match="one shape"):
        gmsd(sr, hr[..., 1:])
    with pytest.raises(ImageError, match="8x8"):
        gmsd(sr, hr, border=9)
    with pytest.raises(ConfigError, match="cutoff"):
        high_frequency_energy_ratio(sr, hr, cutoff=0.5)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_learned_measures_say_what_is_missing(monkeypatch, name):
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"torchvision.*prosr-lightning\[perceptual\]"):
        getattr(perceptual, name)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))


def test_learned_measures_get_clamped_rgb(monkeypatch):
    """With stand-ins for torchmetrics' functions, which need torchvision: one value an image, inputs in [0, 1]."""
    seen = []

    def difference(sr, hr, **options):
        seen.append((sr.min().item(), sr.max().item(), options))
        value = (sr - hr).abs().mean(dim=(1, 2, 3))
        return value if options.get("reduction") == "none" else value.mean()

    image = types.SimpleNamespace(learned_perceptual_image_patch_similarity=difference)
    other = types.SimpleNamespace(deep_image_structure_and_texture_similarity=difference)
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", image)
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image.dists", other)
    sr, hr = torch.tensor([0.25, 2.0]).view(2, 1, 1, 1).expand(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    for name in ("lpips", "dists"):
        assert getattr(perceptual, name)(sr, hr).tolist() == pytest.approx([0.25, 1.0])
    assert max(high for _, high, _ in seen) == 1.0
    assert seen[0][2] == {"net_type": "alex", "normalize": True}  # normalize: torchmetrics expects [0, 1] then
