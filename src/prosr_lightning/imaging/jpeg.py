"""JPEG as libjpeg does it, on batches with a quality for each image, on any device: what a picture loses in the file.

Our own because it must be exact: kornia's `jpeg_codec_differentiable` rounds softly, so that gradients pass, and what
that leaves of the lost detail is not in a file. `tests/unit/imaging/test_jpeg.py` compares both with Pillow.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.color import mix_planes
from prosr_lightning.imaging.quantisation import CHROMA, LUMA, steps

BLOCK = 8

_RGB_TO_YCC = np.array(  # JFIF 1.02: BT.601 in full range
    [(0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411)]
)
_YCC_TO_RGB = np.linalg.inv(_RGB_TO_YCC)


@torch.no_grad()
def jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """Return what a JPEG file of each image holds: a gray file of one plane, YCbCr in 4:2:0 of three.

    Args:
        image: `(N, C, H, W)`, floating point, full-range gray (C = 1) or RGB (C = 3) in `[0, 255]`; rounded and
            clamped first. The first block begins in the upper left corner.
        quality: `(N,)`, whole numbers from 1 to 100, as libjpeg and Pillow count them.

    Returns:
        The same shape, dtype and device, whole numbers in `[0, 255]`.

    Raises:
        ConfigError: If `image` has another number of planes or `quality` is not one number from 1 to 100 for each.
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3) or not image.is_floating_point():
        raise ConfigError(
            f"`image` must be floating point (N, 1 or 3, H, W), got {image.dtype} {tuple(image.shape)}; add the axes."
        )
    if quality.shape != image.shape[:1] or not ((quality >= 1) & (quality <= 100)).all():
        raise ConfigError(f"`quality` must be one number from 1 to 100 for each image, got {quality.tolist()}.")
    # In float64, which neither TF32 nor autocast touches, so that all devices agree; Apple's GPUs have float32 alone.
    pixels = _rounded(image.to(torch.float32 if image.device.type == "mps" else torch.float64))
    tables = [torch.from_numpy(steps(table, quality.cpu().numpy())).to(pixels) for table in (LUMA, CHROMA)]
    with torch.autocast(image.device.type, enabled=False):
        decoded = _plane(pixels, tables[0]) if image.shape[1] == 1 else _color(pixels, *tables)
    return decoded.to(image.dtype)


def jpeg_anywhere(pixels: Tensor, quality: Tensor, random: np.random.Generator) -> Tensor:
    """Compress square patches as `jpeg` does, the grid of each beginning anywhere.

    Args:
        pixels: As of `jpeg`, H = W.
        quality: As of `jpeg`.
        random: Draws where the grids begin.
    """
    side, grid = pixels.shape[-1], BLOCK if pixels.shape[1] == 1 else 2 * BLOCK
    begin = torch.from_numpy(random.integers(grid, size=(2, len(pixels), 1)))  # of each patch within the first block
    around = (torch.arange(side + grid - 1) - begin).clamp(0, side - 1)
    return _windows(jpeg(_windows(pixels, around), quality), torch.arange(side) + begin)


def _color(rgb: Tensor, luma_table: Tensor, chroma_table: Tensor) -> Tensor:
    height, width = rgb.shape[-2:]
    gray = torch.tensor([0.0, 128, 128]).to(rgb)[:, None, None]
    ycc = _rounded(mix_planes(_RGB_TO_YCC, rgb) + gray)
    even = F.pad(ycc[:, 1:], (0, width % 2, 0, height % 2), mode="replicate")
    fourth = F.avg_pool2d(even, 2).flatten(0, 1)[:, None]
    bias = torch.arange(fourth.shape[-1], device=rgb.device) % 2 / 4 + 0.25  # libjpeg rounds by 1 and 2 in turn
    small = _plane((fourth + bias.to(rgb.dtype)).floor_(), chroma_table.repeat_interleave(2, 0))
    # libjpeg's "fancy upsampling": 3/4 of the nearest and 1/4 of the next
    chroma = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    decoded = torch.cat([_plane(ycc[:, :1], luma_table), _rounded(chroma).reshape(len(rgb), 2, height, width)], 1)
    return _rounded(mix_planes(_YCC_TO_RGB, decoded - gray))


def _plane(plane: Tensor, table: Tensor) -> Tensor:
    """Transform blocks of `(N, 1, H, W)`, quantise them by tables `(N, 64)` and transform back."""
    height, width = plane.shape[-2:]
    whole = F.pad(plane, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    rows, columns = (side // BLOCK for side in whole.shape[-2:])
    grid = whole.reshape(-1, rows, BLOCK, columns, BLOCK).transpose(2, 3)
    blocks = grid.reshape(len(plane), -1, BLOCK * BLOCK)
    transform, steps = _transform().to(plane), table[:, None]
    # libjpeg's transform gives whole eighths, and its division rounds halves away from zero
    eighths = ((blocks - 128) @ transform.T).mul_(8).round_()
    kept = eighths.abs().div_(8 * steps).add_(0.5).floor_().copysign_(eighths).mul_(steps)
    decoded = (kept @ transform).add_(128).view(grid.shape).transpose(2, 3).reshape(whole.shape)
    return _rounded(decoded[..., :height, :width])


@functools.cache
def _transform() -> Tensor:
    """Return the orthonormal DCT of an 8x8 block as one matrix `(64, 64)` (T.81, A.3.3)."""
    number = torch.arange(BLOCK, dtype=torch.float64)
    rows = torch.cos((2 * number + 1) * number[:, None] * math.pi / (2 * BLOCK)) / 2
    rows[0] /= math.sqrt(2)
    return torch.kron(rows, rows)


def _rounded(codes: Tensor) -> Tensor:
    return codes.round().clamp(0, 255)


def _windows(images: Tensor, positions: Tensor) -> Tensor:
    """Read from each image its own rows and columns, `positions` being `(2, N, S)`."""
    rows, columns = positions.to(images.device)
    batch, plane = (torch.arange(size, device=images.device) for size in images.shape[:2])
    return images[batch[:, None, None, None], plane[:, None, None], rows[:, None, :, None], columns[:, None, None]]
