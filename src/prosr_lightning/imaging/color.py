"""Colour: BT.601 luminance in studio range, as the benchmarks use it (MATLAB's `rgb2ycbcr`).

All functions take and return `torch` tensors of any floating dtype and keep that dtype and the device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import RGB8

# ITU-R BT.601, 8-bit studio range: Y in 16..235, Cb and Cr in 16..240, for R, G, B in 0..1 (MATLAB rgb2ycbcr).
_STUDIO_MATRIX = (
    (65.481, 128.553, 24.966),
    (-37.797, -74.203, 112.0),
    (112.0, -93.786, -18.214),
)
_STUDIO_OFFSET = (16.0, 128.0, 128.0)


def rgb_to_luminance(rgb: Tensor) -> Tensor:
    """Return the luminance Y / 255 that the benchmark tables score.

    Args:
        rgb: `(..., 3, H, W)`, floating point, `[0, 1]`.

    Returns:
        `(..., 1, H, W)`; black is 16/255 and white 235/255.

    Raises:
        ConfigError: If the channel count is not 3.

    Examples:
        >>> rgb_to_luminance(torch.ones(3, 1, 1)).mul(255).round().item()
        235.0
    """
    _check_channels("rgb", rgb)
    weights = torch.tensor(_STUDIO_MATRIX[0], dtype=rgb.dtype, device=rgb.device) / 255
    return torch.einsum("c,...chw->...hw", weights, rgb).add(_STUDIO_OFFSET[0] / 255).unsqueeze(-3)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Convert R'G'B' to studio-range YCbCr, each divided by 255.

    Args:
        rgb: `(..., 3, H, W)`, floating point, `[0, 1]`.

    Returns:
        `(..., 3, H, W)`: Y in `[16, 235] / 255`, Cb and Cr in `[16, 240] / 255`.

    Raises:
        ConfigError: If the channel count is not 3.
    """
    _check_channels("rgb", rgb)
    matrix, offset = _studio(rgb)
    return torch.einsum("dc,...chw->...dhw", matrix, rgb) + offset


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """Invert `rgb_to_ycbcr`. The result is not clamped.

    Args:
        ycbcr: `(..., 3, H, W)`, floating point, studio range divided by 255.

    Returns:
        `(..., 3, H, W)`, `[0, 1]` for colours inside the RGB cube.

    Raises:
        ConfigError: If the channel count is not 3.
    """
    _check_channels("ycbcr", ycbcr)
    matrix, offset = _studio(ycbcr)
    inverse = torch.linalg.inv(matrix.double()).to(matrix.dtype)
    return torch.einsum("dc,...chw->...dhw", inverse, ycbcr - offset)


def to_rgb8(image: Tensor) -> RGB8:
    """Round an image to what can be written.

    Args:
        image: `(1, 1, H, W)` gray or `(1, 3, H, W)` RGB in `[0, 1]`, floating point; clamped.

    Returns:
        `(H, W, 3)`.
    """
    rounded = image[0].detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).cpu()
    return np.ascontiguousarray(rounded.expand(3, -1, -1).permute(1, 2, 0).numpy())


def _studio(like: Tensor) -> tuple[Tensor, Tensor]:
    matrix = torch.tensor(_STUDIO_MATRIX, dtype=torch.float64).div(255).to(like.device, like.dtype)
    offset = torch.tensor(_STUDIO_OFFSET, dtype=torch.float64).div(255).to(like.device, like.dtype)
    return matrix, offset[:, None, None]


def _check_channels(name: str, image: Tensor) -> None:
    if image.ndim < 3 or image.shape[-3] != 3:
        raise ConfigError(f"`{name}` must have shape (..., 3, H, W), got {tuple(image.shape)}; convert gray to R=G=B.")
    if not image.is_floating_point():
        raise ConfigError(f"`{name}` must be floating point in [0, 1], got {image.dtype}; divide 8-bit values by 255.")
