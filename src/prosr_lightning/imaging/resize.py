"""MATLAB-exact bicubic resizing (`imresize(.., 'bicubic')`) by whole factors, batched on any device, for training.

PyTorch's antialiased bicubic has MATLAB's kernel (a = -0.5, widened by the factor when shrinking) but drops the taps
that fall outside the image, where MATLAB mirrors the image with its edge pixel repeated. Padding by that mirror first
and cropping afterwards makes the two agree to the last digits. Sizes that are no multiple have no such crop:
`imaging.bicubic` has the weights as matrices, for any size and for rows that arrive one band after the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.bicubic import SUPPORT, mirrored


def bicubic_downscale(image: Tensor, scale: int) -> Tensor:
    """Shrink by a whole factor, antialiased: the LR image of Sec. 2.2.

    Args:
        image: `(N, C, H, W)`, floating point; H and W are multiples of `scale`.
        scale: Factor, 1 or more.

    Returns:
        `(N, C, H / scale, W / scale)`, neither rounded nor clamped.

    Raises:
        ConfigError: If `scale` is below 1 or does not divide a side.
    """
    _check(image, scale)
    height, width = image.shape[-2:]
    if height % scale or width % scale:
        raise ConfigError(
            f"`image` must have sides divisible by scale={scale}, got {width}x{height}; crop it with modcrop first."
        )
    if scale == 1:
        return image
    margin = 2 * SUPPORT  # of the small grid: the 1.5 px that the kernel overhangs, and room to spare
    padded = pad_symmetric(image, margin * scale)
    size = (height // scale + 2 * margin, width // scale + 2 * margin)
    return _interpolate(padded, size)[..., margin:-margin, margin:-margin]


def bicubic_upscale(image: Tensor, scale: int) -> Tensor:
    """Enlarge by a whole factor: the bicubic row of every table, and the chroma of every enlarged picture.

    Args:
        image: `(N, C, H, W)`, floating point.
        scale: Factor, 1 or more.

    Returns:
        `(N, C, scale * H, scale * W)`, neither rounded nor clamped.

    Raises:
        ConfigError: If `scale` is below 1.
    """
    _check(image, scale)
    if scale == 1:
        return image
    margin = 2 * SUPPORT
    height, width = image.shape[-2:]
    size = ((height + 2 * margin) * scale, (width + 2 * margin) * scale)
    edge = margin * scale
    return _interpolate(pad_symmetric(image, margin), size)[..., edge:-edge, edge:-edge]


def pad_symmetric(image: Tensor, margin: int) -> Tensor:
    """Mirror the image outward on all sides, edge pixel repeated, as often as needed.

    Args:
        image: `(..., H, W)`; H and W from 1 up, also smaller than `margin`.
        margin: Pixels to add on every side.

    Returns:
        `(..., H + 2 * margin, W + 2 * margin)`.

    Examples:
        >>> pad_symmetric(torch.tensor([[1, 2, 3]]), 2)[2]
        tensor([2, 1, 1, 2, 3, 3, 2])
    """
    height, width = image.shape[-2:]
    rows = symmetric_index(height, -margin, height + margin, image.device)
    columns = symmetric_index(width, -margin, width + margin, image.device)
    return image.index_select(-2, rows).index_select(-1, columns)


def symmetric_index(length: int, start: int, stop: int, device: torch.device | None = None) -> Tensor:
    """Return the indices that read positions `start` to `stop - 1` of a line of `length` mirrored without end."""
    return mirrored(torch.arange(start, stop, device=device), length)


def _interpolate(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.dtype in (torch.float16, torch.bfloat16):
        return F.interpolate(image.float(), size=size, mode="bicubic", antialias=True, align_corners=False).to(
            image.dtype
        )
    return F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)


def _check(image: Tensor, scale: int) -> None:
    if image.ndim != 4 or not image.is_floating_point():
        raise ConfigError(
            f"`image` must be a floating-point tensor (N, C, H, W), got {image.dtype} {tuple(image.shape)}; "
            "add the missing axes or divide 8-bit values by 255."
        )
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise ConfigError(f"`scale` must be a whole number >= 1, got {scale!r}; choose 2, 4, 8 or 16.")
