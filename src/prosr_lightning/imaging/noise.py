"""Noise of sensors on batches of pixels: Gaussian and Poisson, in colour or gray, the same on every device.

Random values are numpy's, from a generator that is given; kornia's noise takes those of the device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.imaging.color import luma


def add_noise(pixels: Tensor, sigma: Tensor, *, poisson: Tensor, gray: Tensor, random: np.random.Generator) -> Tensor:
    """Add noise of its own to each image.

    Args:
        pixels: `(N, C, H, W)`, float32 or float64, gray or RGB in `[0, 255]`.
        sigma: `(N,)`, the standard deviation in codes; of Poisson noise that at white, from where it falls with the
            root of the brightness, as the noise of counted photons does.
        poisson: `(N, 1, 1, 1)` booleans: Poisson and not Gaussian.
        gray: `(N, 1, 1, 1)` booleans: the same noise for R, G and B, that of their luma.
        random: Draws the noise.

    Returns:
        The same shape, dtype and device, neither rounded nor clamped.
    """
    normal = torch.from_numpy(random.standard_normal(tuple(pixels.shape), dtype=np.float32)).to(pixels)
    sigma = sigma.to(pixels)[:, None, None, None]
    normal = torch.where(gray, normal[:, :1], normal)
    light = torch.where(gray, luma(pixels), pixels).clamp(min=0)
    gain = (sigma**2 / 255).clamp(min=1e-6)  # codes of one photon
    counts = poisson_quantile(light / gain, normal)
    return pixels + torch.where(poisson & (sigma > 0), counts * gain - light, sigma * normal)


def poisson_quantile(mean: Tensor, normal: Tensor) -> Tensor:
    """Turn normal values into Poisson ones of a mean (Cornish and Fisher's expansion to the skewness, then rounded).

    Args:
        mean: 0 or more, any shape.
        normal: Standard normal values, the same shape.

    Examples:
        >>> poisson_quantile(torch.tensor([100.0, 0.0]), torch.tensor([1.0, 1.0]))
        tensor([110.,   0.])
    """
    return (mean + mean.sqrt() * normal + (normal**2 - 1) / 6).round().clamp(min=0)
