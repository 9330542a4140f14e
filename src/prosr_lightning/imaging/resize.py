"""MATLAB-exact bicubic resizing (`imresize(.., 'bicubic')`): float64 for tables, batched on any device for training.

PyTorch's antialiased bicubic has MATLAB's kernel (a = -0.5, widened by the factor when shrinking) but drops the taps
that fall outside the image, where MATLAB mirrors the image with its edge pixel repeated. Padding by that mirror first
and cropping afterwards makes the two agree to the last digits. Sizes that are no multiple have no such crop: `Resizer`
has the weights as matrices, for any size and for rows that arrive one band after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.rows import Rows

_SUPPORT = 2  # the bicubic kernel reaches 2 pixels, of the smaller of the two grids
_BLOCK = 64  # samples of a result by one matrix: a larger one is mostly zeros, a smaller one slow to begin


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
    margin = 2 * _SUPPORT  # of the small grid: the 1.5 px that the kernel overhangs, and room to spare
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
    margin = 2 * _SUPPORT
    height, width = image.shape[-2:]
    size = ((height + 2 * margin) * scale, (width + 2 * margin) * scale)
    edge = margin * scale
    return _interpolate(pad_symmetric(image, margin), size)[..., edge:-edge, edge:-edge]


class Resizer:
    """Bring an image to any size by MATLAB's bicubic, antialiased where it shrinks, a few rows at a time.

    Args:
        size: Height and width of the image.
        target: Height and width of the result.
        dtype: Of both.
    """

    def __init__(self, size: tuple[int, int], target: tuple[int, int], *, dtype: torch.dtype) -> None:
        self.height, self.target, self.dtype = size[0], target, dtype
        self._columns = [bicubic_weights(size[1], target[1], *ends, dtype=dtype) for ends in _blocks(0, target[1])]

    def rows(self, rows: Rows[Tensor], begin: int, end: int) -> Tensor:
        """Return rows `begin` to `end - 1` of the result, `(..., end - begin, W)`, and forget what no later one needs.

        Args:
            rows: The image, `(..., H, W)`.
            begin: First row.
            end: The row after the last.
        """
        high = torch.cat([self._high(rows, *ends) for ends in _blocks(begin, end)], dim=-2)
        return torch.cat([high[..., at : at + block.shape[1]] @ block.mT for at, block in self._columns], dim=-1)

    def _high(self, rows: Rows[Tensor], begin: int, end: int) -> Tensor:
        first, weights = bicubic_weights(self.height, self.target[0], begin, end, dtype=self.dtype)
        window = rows.take(first, first + weights.shape[1])
        rows.forget(first)
        return weights @ window

    def bands(self, rows: Rows[Tensor]) -> Iterator[Tensor]:
        """Yield the whole result from top to bottom."""
        for begin, end in _blocks(0, self.target[0]):
            yield self.rows(rows, begin, end)


def _blocks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    return itertools.pairwise([*range(begin, end, _BLOCK), end])


def bicubic_resize(image: Tensor, target: tuple[int, int]) -> Tensor:
    """Bring an image to any size by MATLAB's bicubic, antialiased along an axis that shrinks.

    Args:
        image: `(N, C, H, W)`, floating point, on the CPU.
        target: Height and width of the result, both at least 1.

    Returns:
        `(N, C, *target)`, neither rounded nor clamped.
    """
    height, width = image.shape[-2:]
    return Resizer((height, width), target, dtype=image.dtype).rows(Rows.whole(image), 0, target[0])


def bicubic_weights(
    length: int, target: int, begin: int, end: int, *, dtype: torch.dtype = torch.float64
) -> tuple[int, Tensor]:
    """Return MATLAB's weights of resizing a line: row i of the matrix makes sample `begin + i` of the result.

    Args:
        length: Samples of the line, which is mirrored beyond its ends, edge sample repeated.
        target: Samples of the result.
        begin: First sample of the result that is wanted.
        end: The sample after the last.
        dtype: Of the matrix; it is computed in float64.

    Returns:
        The first sample of the line that is needed, and the weights from there on, `(end - begin, needed)`.

    Examples:
        >>> first, weights = bicubic_weights(4, 8, 3, 4)
        >>> first, weights.tolist()
        (0, [[-0.0703125, 0.8671875, 0.2265625, -0.0234375]])
    """
    ratio = length / target
    width = max(ratio, 1.0)  # of the kernel, in samples of the line
    centre = (torch.arange(begin, end, dtype=torch.float64) + 0.5) * ratio - 0.5
    place = (centre - _SUPPORT * width).ceil()[:, None] + torch.arange(math.ceil(2 * _SUPPORT * width) + 1)
    weights = keys((place - centre[:, None]) / width)
    weights /= weights.sum(dim=1, keepdim=True)
    index = _mirrored(place.long(), length)
    first = int(index.min())
    matrix = torch.zeros(end - begin, int(index.max()) + 1 - first, dtype=torch.float64)
    return first, matrix.scatter_add_(1, index - first, weights).to(dtype)


def keys(distance: Tensor) -> Tensor:
    """Return Keys' cubic kernel (a = -0.5, MATLAB's) at distances of either sign."""
    distance = distance.abs()
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return torch.where(distance <= 1, near, torch.where(distance < _SUPPORT, far, 0.0))


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
    return _mirrored(torch.arange(start, stop, device=device), length)


def _mirrored(position: Tensor, length: int) -> Tensor:
    position = position.remainder(2 * length)
    return torch.where(position < length, position, 2 * length - 1 - position)


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
