"""Colour: BT.601 luminance in studio range, as the benchmarks use it (MATLAB's `rgb2ycbcr`).

Functions take and return arrays of numpy or of PyTorch, of any floating dtype, and keep kind, dtype and device.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.arrays import Array, like, namespace
from prosr_lightning.imaging.io import RGB8

if TYPE_CHECKING:
    from torch import Tensor

# ITU-R BT.601, 8-bit studio range: Y in 16..235, Cb and Cr in 16..240, for R, G, B in 0..1 (MATLAB rgb2ycbcr).
_STUDIO_MATRIX = np.array([(65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214)]) / 255
_STUDIO_OFFSET = np.array([16.0, 128.0, 128.0])[:, None, None] / 255
_FROM_STUDIO = np.linalg.inv(_STUDIO_MATRIX)
_LUMA = np.array([(0.299, 0.587, 0.114)])  # BT.601


def rgb_to_luminance(rgb: Array) -> Array:
    """Return the luminance Y / 255 that the benchmark tables score.

    Args:
        rgb: `(..., 3, H, W)`, floating point, `[0, 1]`.

    Returns:
        `(..., 1, H, W)`; black is 16/255 and white 235/255.

    Raises:
        ConfigError: If the channel count is not 3.

    Examples:
        >>> (rgb_to_luminance(np.ones((3, 1, 1))) * 255).item()
        235.0
    """
    _check_channels("rgb", rgb)
    return mix_planes(_STUDIO_MATRIX[:1], rgb) + like(_STUDIO_OFFSET[:1], rgb)


def rgb_to_ycbcr(rgb: Array) -> Array:
    """Convert R'G'B' to studio-range YCbCr, each divided by 255.

    Args:
        rgb: `(..., 3, H, W)`, floating point, `[0, 1]`.

    Returns:
        `(..., 3, H, W)`: Y in `[16, 235] / 255`, Cb and Cr in `[16, 240] / 255`.

    Raises:
        ConfigError: If the channel count is not 3.
    """
    _check_channels("rgb", rgb)
    return mix_planes(_STUDIO_MATRIX, rgb) + like(_STUDIO_OFFSET, rgb)


def ycbcr_to_rgb(ycbcr: Array) -> Array:
    """Invert `rgb_to_ycbcr`. The result is not clamped.

    Args:
        ycbcr: `(..., 3, H, W)`, floating point, studio range divided by 255.

    Returns:
        `(..., 3, H, W)`, `[0, 1]` for colours inside the RGB cube.

    Raises:
        ConfigError: If the channel count is not 3.
    """
    _check_channels("ycbcr", ycbcr)
    return mix_planes(_FROM_STUDIO, ycbcr - like(_STUDIO_OFFSET, ycbcr))


def luma(pixels: Tensor) -> Tensor:
    """Return the full-range luma of R'G'B', or gray as it is, `(..., 1, H, W)` in the range of the pixels."""
    if pixels.shape[-3] == 1:
        return pixels
    return mix_planes(_LUMA, pixels)


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


def mix_planes(matrix: npt.NDArray[np.floating], image: Array) -> Array:
    """Multiply the planes of each pixel by a matrix, in full precision also under autocast and where TF32 is allowed.

    Args:
        matrix: `(D, C)`.
        image: `(..., C, H, W)`, floating point.

    Returns:
        `(..., D, H, W)` of the same dtype and device.
    """
    *before, planes, height, width = image.shape
    flat = image.reshape(*before, planes, height * width)  # an eighth of the time of einsum on small images
    mixed = like(matrix, flat) @ flat if namespace(flat) is np else _mixed(matrix, flat)
    return mixed.reshape(*before, len(matrix), height, width)


def _mixed(matrix: npt.NDArray[np.floating], flat: Array) -> Array:
    with sys.modules["torch"].autocast(flat.device.type, enabled=False):
        working = flat.double() if flat.is_cuda else flat  # TF32 is of float32 alone
        return (like(matrix, working) @ working).to(flat.dtype)


def from_rgb8(rgb: RGB8) -> Tensor:
    """Return 8-bit RGB, `(H, W, 3)`, as `(1, 3, H, W)` float64 in `[0, 1]`."""
    import torch  # noqa: PLC0415  # only where there are tensors

    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].double() / 255


def to_rgb8(image: Tensor) -> RGB8:
    """Round an image to what can be written.

    Args:
        image: `(1, 1, H, W)` gray or `(1, 3, H, W)` RGB in `[0, 1]`, floating point; clamped.

    Returns:
        `(H, W, 3)`.
    """
    rounded = image[0].detach().float().clamp(0, 1).mul(255).round().byte().cpu()
    return np.ascontiguousarray(rounded.expand(3, -1, -1).permute(1, 2, 0).numpy())


def _check_channels(name: str, image: Array) -> None:
    if image.ndim < 3 or image.shape[-3] != 3:
        raise ConfigError(f"`{name}` must have shape (..., 3, H, W), got {tuple(image.shape)}; convert gray to R=G=B.")
    if not (image.dtype.kind == "f" if isinstance(image, np.ndarray) else image.is_floating_point()):
        raise ConfigError(f"`{name}` must be floating point in [0, 1], got {image.dtype}; divide 8-bit values by 255.")
