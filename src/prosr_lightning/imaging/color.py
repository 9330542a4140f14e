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
    matrix, offset = _studio()
    return mix_planes(matrix, rgb) + offset.to(rgb)


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
    matrix, offset = _studio()
    return mix_planes(torch.linalg.inv(matrix), ycbcr - offset.to(ycbcr))


def luma(pixels: Tensor) -> Tensor:
    """Return the full-range luma of R'G'B', or gray as it is, `(..., 1, H, W)` in the range of the pixels."""
    if pixels.shape[-3] == 1:
        return pixels
    return mix_planes(torch.tensor([(0.299, 0.587, 0.114)], dtype=torch.float64), pixels)  # BT.601


def to_pixels(planes: Tensor) -> Tensor:
    """Turn luminance `(..., 1, H, W)` into gray, or YCbCr `(..., 3, H, W)` into RGB, in `[0, 255]`, not rounded."""
    if planes.shape[-3] == 3:
        return ycbcr_to_rgb(planes) * 255
    return (planes * 255 - 16) * (255 / 219)  # the studio range's black and span


def from_pixels(pixels: Tensor) -> Tensor:
    """Invert `to_pixels`, the pixels rounded to 8 bits first."""
    pixels = pixels.round().clamp(0, 255)
    if pixels.shape[-3] == 3:
        return rgb_to_ycbcr(pixels / 255)
    return (pixels * (219 / 255) + 16) / 255


def mix_planes(matrix: Tensor, image: Tensor) -> Tensor:
    """Multiply the planes of each pixel by a matrix, in full precision also under autocast and where TF32 is allowed.

    Args:
        matrix: `(D, C)` float64.
        image: `(..., C, H, W)`, floating point.

    Returns:
        `(..., D, H, W)` of the same dtype and device.
    """
    with torch.autocast(image.device.type, enabled=False):
        working = image.double() if image.is_cuda else image  # TF32 is of float32 alone
        mixed = matrix.to(working) @ working.flatten(-2)  # an eighth of the time of einsum on small images
    return mixed.to(image.dtype).reshape(*image.shape[:-3], len(matrix), *image.shape[-2:])


def to_rgb8(image: Tensor) -> RGB8:
    """Round an image to what can be written.

    Args:
        image: `(1, 1, H, W)` gray or `(1, 3, H, W)` RGB in `[0, 1]`, floating point; clamped.

    Returns:
        `(H, W, 3)`.
    """
    rounded = image[0].detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).cpu()
    return np.ascontiguousarray(rounded.expand(3, -1, -1).permute(1, 2, 0).numpy())


def _studio() -> tuple[Tensor, Tensor]:
    matrix, offset = (torch.tensor(values, dtype=torch.float64) / 255 for values in (_STUDIO_MATRIX, _STUDIO_OFFSET))
    return matrix, offset[:, None, None]


def _check_channels(name: str, image: Tensor) -> None:
    if image.ndim < 3 or image.shape[-3] != 3:
        raise ConfigError(f"`{name}` must have shape (..., 3, H, W), got {tuple(image.shape)}; convert gray to R=G=B.")
    if not image.is_floating_point():
        raise ConfigError(f"`{name}` must be floating point in [0, 1], got {image.dtype}; divide 8-bit values by 255.")
