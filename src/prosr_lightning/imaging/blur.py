"""Blur by a Gaussian of its own for each image of a batch: the kernels are ours, kornia filters."""

from __future__ import annotations

import math

import torch
from kornia.filters import filter2d
from torch import Tensor


def gaussian_kernels(sigmas: Tensor, angles: Tensor) -> Tensor:
    """Return Gaussian kernels, elliptic where the two standard deviations differ.

    Args:
        sigmas: `(2, N)`, along and across, in pixels; 0 does not blur.
        angles: `(N,)`, of the first axis, in radians.

    Returns:
        `(N, K, K)` with K odd, each with the sum 1; K reaches three times the largest standard deviation.
    """
    radius = math.ceil(3 * sigmas.max().item())
    line = torch.arange(-radius, radius + 1, dtype=sigmas.dtype)
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    along, across = cosine * line + sine * line[:, None], cosine * line[:, None] - sine * line
    first, second = sigmas.clamp(min=0.05)[:, :, None, None]  # as good as no blur, without a division by 0
    kernels = torch.exp(-((along / first) ** 2 + (across / second) ** 2) / 2)
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)


def blur(pixels: Tensor, kernels: Tensor) -> Tensor:
    """Filter each image of `(N, C, H, W)` by its kernel, the edge pixel repeated, in full precision under autocast."""
    with torch.autocast(pixels.device.type, enabled=False):
        filtered: Tensor = filter2d(pixels, kernels.to(pixels), border_type="replicate")
    return filtered
