"""Enlarging an image piece by piece, with the very result of enlarging it whole.

Each piece is enlarged with a margin of its real surroundings, the halo, which is cropped from the result. A halo of at
least the network's receptive radius makes the pieces equal to the whole; where a piece touches the border of the image
it gets no halo, so that the network pads exactly where it would have padded the whole. A progressive network is tiled
pass by pass, which needs the radius of one pass only.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic

from prosr_lightning.errors import ConfigError, OutOfMemoryError
from prosr_lightning.imaging.arrays import Array, namespace, on_cpu
from prosr_lightning.imaging.rows import Rows

log = logging.getLogger(__name__)

Step = Callable[[Array], Array]
OnTile = Callable[[int], None]

SMALLEST_TILE = 16


def enlarge_bands(
    step: Step[Array],
    image: Rows[Array],
    *,
    factor: int,
    halo: int,
    tile: int,
    first: int = 0,
    on_tile: OnTile | None = None,
) -> Iterator[tuple[int, Array]]:
    """Enlarge an image from top to bottom and hand over each finished band of full width.

    When a tile does not fit into memory its band is done again with half the tile, and so is everything after it.

    Args:
        step: Enlarges `(N, C, h, w)` to `(N, C, factor * h, factor * w)`, for any h and w from 1 up.
        image: `(N, C, H, W)`; rows above `first - halo` may be forgotten already.
        factor: What `step` enlarges by.
        halo: Pixels of `image` beyond a tile that can change its result: the network's receptive radius.
        tile: Side of a tile in pixels of `image`; 0 takes the whole image at once.
        first: Row of `image` to begin with.
        on_tile: Called after each tile with the number of pixels of `image` done; negative where a band starts again.

    Yields:
        The first row of the band in the result, and the band `(N, C, rows, factor * W)` on the CPU.

    Raises:
        ConfigError: If `tile` is neither 0 nor at least 16, or the halo is negative.
        OutOfMemoryError: If the smallest tile does not fit into memory.

    Examples:
        >>> import numpy as np
        >>> double = lambda window: window.repeat(2, -1).repeat(2, -2)
        >>> bands = enlarge_bands(double, Rows.whole(np.ones((1, 1, 40, 17))), factor=2, halo=1, tile=16)
        >>> [(top, tuple(band.shape)) for top, band in bands]
        [(0, (1, 1, 28, 34)), (28, (1, 1, 26, 34)), (54, (1, 1, 26, 34))]
    """
    if (tile and tile < SMALLEST_TILE) or halo < 0:
        raise ConfigError(f"`tile` must be 0 or at least {SMALLEST_TILE} pixels, got {tile}; 0 means the whole image.")
    work = _Work(step, factor, halo, on_tile)
    height, width, top = image.height, image.width, first
    side = tile or max(height, width, SMALLEST_TILE)
    while top < height:
        bottom = top + _share(height - top, side)
        row = max(top - halo, 0)
        window = image.take(row, min(bottom + halo, height))  # what it may cost to make it is not the step's
        band = work.band(window, top - row, bottom - row, side)
        if band is None:
            side = _halved(side, max(height, width))
            continue
        yield top * factor, band
        top = bottom
        image.forget(top - halo)


def _share(length: int, side: int) -> int:
    """Return the size of the first of equal parts of `length`, none longer than `side`."""
    count = -(-length // side)
    return -(-length // count)


@dataclass(frozen=True)
class _Work(Generic[Array]):
    """One image to enlarge; see `enlarge_bands`."""

    step: Step[Array]
    factor: int
    halo: int
    on_tile: OnTile | None

    def band(self, window: Array, top: int, bottom: int, side: int) -> Array | None:
        """Return rows `top` to `bottom` of a window of full width, enlarged, or None when memory runs out."""
        width, left = window.shape[-1], 0
        pieces = list[Array]()
        try:
            while left < width:
                right = left + _share(width - left, side)
                pieces.append(self.piece(window, top, bottom, left, right))
                self.report((bottom - top) * (right - left))
                left = right
            return pieces[0] if len(pieces) == 1 else namespace(pieces[0]).concatenate(pieces, axis=-1)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.debug("out of memory: %s", error)
        self.report(-(bottom - top) * left)
        return None

    def piece(self, window: Array, top: int, bottom: int, left: int, right: int) -> Array:
        """Return one enlarged tile, computed with its halo."""
        column = max(left - self.halo, 0)
        result = self.step(window[..., column : right + self.halo])
        rows = slice(top * self.factor, bottom * self.factor)
        columns = slice((left - column) * self.factor, (right - column) * self.factor)
        return on_cpu(result[..., rows, columns])

    def report(self, pixels: int) -> None:
        """Tell the caller of progress."""
        if self.on_tile and pixels:
            self.on_tile(pixels)


def _halved(side: int, longest: int) -> int:
    """Return the next smaller tile after memory ran out, and give back what is cached."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    smaller = min(side, longest) // 2
    if smaller < SMALLEST_TILE:
        raise OutOfMemoryError(
            f"Memory must hold one tile of {SMALLEST_TILE} pixels, but ran out at {side}; close other programs, or "
            "choose another device or a smaller scale."
        )
    log.warning("Out of memory with tiles of %d pixels; going on with %d.", side, smaller)
    return smaller


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory, on any device, from other errors."""
    # CUDA, the CPU, MPS and cuDNN raise RuntimeErrors with these words, ONNX Runtime plain exceptions
    words = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "failed to allocate")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)
