"""Bicubic resizing to any size as MATLAB does it, by matrices of weights, for images and for rows that arrive in bands.

`imaging.resize` has the whole factors, batched on any device, for training.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Generic

import numpy as np
import numpy.typing as npt

from prosr_lightning.imaging.arrays import Array, like, namespace
from prosr_lightning.imaging.rows import Rows

SUPPORT = 2  # the bicubic kernel reaches 2 pixels, of the smaller of the two grids
_BLOCK = 64  # samples of a result by one matrix: a larger one is mostly zeros, a smaller one slow to begin


class Resizer(Generic[Array]):
    """Bring an image to any size by MATLAB's bicubic, antialiased where it shrinks, a few rows at a time.

    Args:
        rows: The image, `(..., H, W)`, floating point, on the CPU.
        target: Height and width of the result, both at least 1.
    """

    def __init__(self, rows: Rows[Array], target: tuple[int, int]) -> None:
        self._image, self._target, self._done = rows, target, 0
        self._columns = list[tuple[int, Array]]()

    def __call__(self, count: int) -> Array:
        """Return the next rows of the result, `(..., count, W)`."""
        begin, self._done = self._done, self._done + count
        parts = [self._high(*ends) for ends in _blocks(begin, self._done)]
        xp = namespace(parts[0])
        high = xp.concatenate(parts, axis=-2)
        if not self._columns:
            width = self._target[1]
            blocks = (bicubic_weights(self._image.width, width, *ends) for ends in _blocks(0, width))
            self._columns = [(first, like(weights.T, high)) for first, weights in blocks]
        wide = [high[..., first : first + len(weights)] @ weights for first, weights in self._columns]
        return xp.concatenate(wide, axis=-1)

    def _high(self, begin: int, end: int) -> Array:
        first, weights = bicubic_weights(self._image.height, self._target[0], begin, end)
        window = self._image.take(first, first + weights.shape[1])
        self._image.forget(first)
        return like(weights, window) @ window

    def bands(self) -> Iterator[Array]:
        """Yield the whole result from top to bottom."""
        for begin, end in _blocks(0, self._target[0]):
            yield self(end - begin)


def _blocks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    return itertools.pairwise([*range(begin, end, _BLOCK), end])


def bicubic_resize(image: Array, target: tuple[int, int]) -> Array:
    """Bring an image to any size by MATLAB's bicubic, antialiased along an axis that shrinks.

    Args:
        image: `(..., H, W)`, floating point, on the CPU.
        target: Height and width of the result, both at least 1.

    Returns:
        `(..., *target)`, neither rounded nor clamped.
    """
    return Resizer(Rows.whole(image), target)(target[0])


def bicubic_weights(length: int, target: int, begin: int, end: int) -> tuple[int, npt.NDArray[np.float64]]:
    """Return MATLAB's weights of resizing a line: row i of the matrix makes sample `begin + i` of the result.

    Args:
        length: Samples of the line, which is mirrored beyond its ends, edge sample repeated.
        target: Samples of the result.
        begin: First sample of the result that is wanted.
        end: The sample after the last.

    Returns:
        The first sample of the line that is needed, and the weights from there on, `(end - begin, needed)`.

    Examples:
        >>> first, weights = bicubic_weights(4, 8, 3, 4)
        >>> first, weights.tolist()
        (0, [[-0.0703125, 0.8671875, 0.2265625, -0.0234375]])
    """
    ratio = length / target
    width = max(ratio, 1.0)  # of the kernel, in samples of the line
    centre = (np.arange(begin, end)[:, None] + 0.5) * ratio - 0.5
    place = np.ceil(centre - SUPPORT * width) + np.arange(math.ceil(2 * SUPPORT * width) + 1)
    weights = keys((place - centre) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    index = mirrored(place.astype(np.int64), length)
    first = int(index.min())
    matrix = np.zeros((end - begin, int(index.max()) + 1 - first))
    np.add.at(matrix, (np.arange(end - begin)[:, None], index - first), weights)
    return first, matrix


def keys(distance: Array) -> Array:
    """Return Keys' cubic kernel (a = -0.5, MATLAB's) at distances of either sign."""
    distance = abs(distance)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    where = namespace(distance).where
    return where(distance <= 1, near, where(distance < SUPPORT, far, 0.0))


def mirrored(position: Array, length: int) -> Array:
    """Return the indices that read whole-number positions on a line of `length` which is mirrored without end."""
    last = 2 * length - 1
    return (last - abs(2 * (position % (last + 1)) - last)) // 2  # in operators alone, which torch.compile follows
