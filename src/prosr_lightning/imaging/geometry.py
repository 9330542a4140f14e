"""Cropping, and the eight symmetries of the square (flips and quarter turns)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.imaging.arrays import Array, namespace

if TYPE_CHECKING:
    from torch import Tensor

NUM_SYMMETRIES = 8


def modcrop(image: Tensor, multiple: int) -> Tensor:
    """Crop the bottom and right so that both sides are multiples of `multiple` (top left kept).

    Args:
        image: `(..., H, W)`.
        multiple: Whole number, 1 or more.

    Returns:
        A view `(..., H - H % multiple, W - W % multiple)`.

    Raises:
        ImageError: If a side is smaller than `multiple`.
    """
    height, width = image.shape[-2:]
    if height < multiple or width < multiple:
        raise ImageError(
            f"The image must be at least {multiple}x{multiple} pixels, got {width}x{height}; leave it out."
        )
    return image[..., : height - height % multiple, : width - width % multiple]


def shave(image: Tensor, border: int) -> Tensor:
    """Remove `border` pixels from every side (Sec. 4.3.1 removes `scale` pixels before it scores).

    Args:
        image: `(..., H, W)`.
        border: Pixels, 0 or more.

    Returns:
        A view `(..., H - 2 * border, W - 2 * border)`.

    Raises:
        ImageError: If nothing is left.
    """
    height, width = image.shape[-2:]
    if border < 0 or 2 * border >= min(height, width):
        raise ImageError(
            f"`border` must leave pixels to score, got {border} on an image of {width}x{height}; "
            "leave the image out or choose a smaller scale."
        )
    return image[..., border : height - border, border : width - border]


def symmetry(image: Array, code: int) -> Array:
    """Apply one of the eight symmetries of the square.

    Args:
        image: `(..., H, W)`.
        code: 0 to 7; bit 0 flips left-right, then bit 1 flips top-bottom, then bit 2 swaps rows and columns.

    Returns:
        `(..., H, W)`, or `(..., W, H)` where bit 2 is set.
    """
    _check_code(code)
    flip = namespace(image).flip
    if code & 1:
        image = flip(image, (-1,))
    if code & 2:
        image = flip(image, (-2,))
    return image.swapaxes(-1, -2) if code & 4 else image


def undo_symmetry(image: Array, code: int) -> Array:
    """Invert `symmetry` with the same code."""
    _check_code(code)
    flip = namespace(image).flip
    if code & 4:
        image = image.swapaxes(-1, -2)
    if code & 2:
        image = flip(image, (-2,))
    return flip(image, (-1,)) if code & 1 else image


def apply_symmetries(images: Tensor, codes: Tensor) -> Tensor:
    """Apply a symmetry of its own to each image of a batch, without leaving the device (kornia's flips).

    Args:
        images: `(N, C, S, S)`, square.
        codes: `(N,)` integers 0 to 7 with the meaning of `symmetry`.

    Returns:
        `(N, C, S, S)`.

    Raises:
        ConfigError: If the images are not square or the counts differ.
    """
    if images.ndim != 4 or images.shape[-1] != images.shape[-2] or codes.shape != images.shape[:1]:
        raise ConfigError(
            f"`images` must be square (N, C, S, S) with one code each, got {tuple(images.shape)} "
            f"and {tuple(codes.shape)} codes."
        )
    if images.device.type == "cpu":  # a sixth of the time
        turned = [symmetry(image, code) for image, code in zip(images, codes.tolist(), strict=True)]
        return namespace(images).stack(turned)
    return _symmetries_at_once(images, codes)


def _symmetries_at_once(images: Tensor, codes: Tensor) -> Tensor:
    """Do it with the same operations for every code, which need not be known outside of the device."""
    import torch  # noqa: PLC0415  # only where there are tensors
    from kornia.geometry.transform import hflip, vflip  # noqa: PLC0415  # slow to import, and of training alone

    bits = codes.to(images.device)[:, None, None, None]
    images = torch.where((bits & 1).bool(), hflip(images), images)
    images = torch.where((bits & 2).bool(), vflip(images), images)
    return torch.where((bits & 4).bool(), images.transpose(-1, -2), images)


def _check_code(code: int) -> None:
    if not 0 <= code < NUM_SYMMETRIES:
        raise ConfigError(f"`code` must be 0 to 7, got {code}; each is one of the eight symmetries of the square.")
