"""Luminance on its way through the passes of a network, with little held in memory.

This is the one way of inference: `Upscaler`, `evaluate` and the scores after training all go it. It knows planes alone;
`pictures.recoloring` makes them of pictures, and pictures of them.

The passes feed each other: a band of rows that one has finished is what the next takes in, and the last, if the result
has a size of its own, is brought to that size by bicubic. So a few bands of each are held, whatever the height of the
picture. A self-ensemble holds the whole picture, all it makes of it, and the sum of its results, in float32.
"""

from __future__ import annotations

import itertools
import logging
import operator
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic

from prosr_lightning.errors import ConfigError, OutOfMemoryError
from prosr_lightning.imaging.arrays import Array, contiguous, namespace
from prosr_lightning.imaging.bicubic import Resizer
from prosr_lightning.imaging.geometry import NUM_SYMMETRIES, symmetry, undo_symmetry
from prosr_lightning.imaging.rows import Rows
from prosr_lightning.imaging.tiling import SMALLEST_TILE, enlarge_bands, is_out_of_memory
from prosr_lightning.upscale.contract import Engine, Streamed
from prosr_lightning.upscale.memory import automatic_tile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Band(Generic[Array]):
    """Finished rows of one level.

    Attributes:
        scale: Factor of the level; that of the passes where the last is brought to a size of its own.
        top: Place of the first row in the enlarged image.
        rows: `(N, 1, h, W)`, float32, on the CPU.
    """

    scale: int
    top: int
    rows: Array


class Chain(Generic[Array]):
    """Enlarge luminance planes by all passes of a network; call it without gradients.

    Args:
        engine: Runs the network.
        scale: Total factor of the passes, see `networks.power_of_two`.
        size: Height and width of the result, which the last level is brought to by bicubic; None leaves it as it is.
        tile: Side of a tile in pixels of the input of each pass; 0 for none; "auto" goes in bands of whole rows where
            the engine can (PyTorch on the CPU), else in tiles that fit the free memory. The results are those of whole
            images.
        self_ensemble: Take the mean of the results of the eight flips and quarter turns of the input, each having gone
            the whole chain and been turned back: 8 times the work (docs/notes.md has why not pass by pass).
        exact: Compute in float32 where the engine would choose half precision by itself.
        on_progress: Called with the share of the work done.

    Raises:
        ConfigError: If `tile` is neither "auto" nor 0 nor at least 16.
    """

    def __init__(
        self,
        engine: Engine[Array],
        *,
        scale: int,
        size: tuple[int, int] | None = None,
        tile: int | str = "auto",
        self_ensemble: bool = False,
        exact: bool = True,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        require_tile(tile)
        self.engine, self.size, self.tile, self.self_ensemble = engine, size, tile, self_ensemble
        self.exact, self.on_progress = exact, on_progress
        self.passes = engine.passes(scale)
        factors = [factor for factor, _ in self.passes]
        self.scales = tuple(itertools.accumulate(factors, operator.mul))
        self._work, self._done = 0, 0

    def image(self, planes: Array) -> Array:
        """Return the last level as a whole.

        Args:
            planes: Luminance `(N, 1, H, W)`, float32, on the CPU.

        Returns:
            `(N, 1, *size)`, or `(N, 1, scale * H, scale * W)`; float32, on the CPU, not clamped.

        Raises:
            OutOfMemoryError: If not even the smallest tile fits into memory.
        """
        rows = [band.rows for band in self.bands(Rows.whole(planes))]
        return rows[0] if len(rows) == 1 else namespace(rows[0]).concatenate(rows, axis=-2)

    def bands(self, planes: Rows[Array], *, every_level: bool = False) -> Iterator[Band[Array]]:
        """Enlarge, and hand over each band as soon as it is finished.

        Args:
            planes: As for `image`.
            every_level: Hand over the bands of every level, as they are made, and not of the last alone.

        Yields:
            Every row of a level once, from top to bottom.

        Raises:
            OutOfMemoryError: If not even the smallest tile fits into memory.
        """
        inputs = (1, *self.scales[:-1])
        self._work = planes.height * planes.width * sum(scale**2 for scale in inputs)
        self._work *= NUM_SYMMETRIES if self.self_ensemble else 1
        self._done = 0
        bands = (self._ensemble if self.self_ensemble else self._once)(planes, every_level=every_level)
        size = (planes.height * self.scales[-1], planes.width * self.scales[-1])
        yield from bands if self.size in (None, size) else self._resized(bands, size, self.size)

    def _once(self, planes: Rows[Array], *, every_level: bool) -> Iterator[Band[Array]]:
        """Go through all passes."""
        passed: deque[Band[Array]] = deque()
        rows, bands = planes, iter(list[Array]())
        for scale, (factor, halo) in zip(self.scales, self.passes, strict=True):
            bands = self._pass(rows, factor, halo)
            if every_level and scale != self.scales[-1]:
                bands = _noted(bands, scale, passed)
            rows = Rows(bands, height=rows.height * factor, width=rows.width * factor)
        yield from _with_passed(bands, self.scales[-1], passed)

    def _resized(
        self, bands: Iterator[Band[Array]], size: tuple[int, int], target: tuple[int, int]
    ) -> Iterator[Band[Array]]:
        """Bring the last level to its size."""
        passed: deque[Band[Array]] = deque()

        def last_level() -> Iterator[Array]:
            for band in bands:
                if band.scale == self.scales[-1]:
                    yield band.rows
                else:
                    passed.append(band)

        resizer = Resizer(Rows(last_level(), height=size[0], width=size[1]), target)
        yield from _with_passed(resizer.bands(), self.scales[-1], passed)

    def _ensemble(self, planes: Rows[Array], *, every_level: bool) -> Iterator[Band[Array]]:
        """Add up what all symmetries of the input come to, turned back, and hand over the means."""
        image = planes.take(0, planes.height)
        wanted = self.scales if every_level else self.scales[-1:]
        sums = {scale: _zeros(image, scale) for scale in wanted}
        for code in range(NUM_SYMMETRIES):
            turned = Rows.whole(contiguous(symmetry(image, code)))
            for band in self._once(turned, every_level=every_level):
                rows = undo_symmetry(band.rows, code)
                axis, flipped = (-1, code & 1) if code & 4 else (-2, code & 2)
                size, length = rows.shape[axis], sums[band.scale].shape[axis]
                place = length - band.top - size if flipped else band.top
                part = slice(place, place + size)
                sums[band.scale][(..., part) if axis == -1 else (..., part, slice(None))] += rows
        for scale in wanted:
            sums[scale] /= NUM_SYMMETRIES
            yield Band(scale, 0, sums[scale])

    def _pass(self, planes: Rows[Array], factor: int, halo: int) -> Iterator[Array]:
        """Yield the bands of one pass, in streams or in tiles."""
        first = planes.take(0, 1)
        top = 0
        stream = self.engine.streamed(factor, count=len(first), width=planes.width) if self.tile == "auto" else None
        if stream is not None:
            for rows in self._streamed(stream, planes, factor, halo):
                yield rows
                top += rows.shape[-2]
        if top == factor * planes.height:
            return
        for begin, rows in enlarge_bands(
            lambda window: self.engine.enlarge(window, factor, exact=self.exact),
            planes,
            factor=factor,
            halo=halo,
            tile=self._side(planes, len(first), factor, halo),
            first=top // factor,
            on_tile=self._report,
        ):
            yield rows[..., max(top - begin, 0) :, :]

    def _streamed(self, stream: Streamed[Array], planes: Rows[Array], factor: int, halo: int) -> Iterator[Array]:
        """Yield bands until all rows are done or memory runs out."""
        begin, top = 0, 0
        while begin < planes.height:
            end = min(begin + stream.rows + (0 if begin else stream.ahead), planes.height)
            lr = planes.take(begin, end)  # what it may cost to make it is not this pass's
            try:
                rows = stream.run(lr, last=end == planes.height)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                log.warning("Out of memory with whole rows; going on with tiles.")
                return
            before, top, begin = top // factor, top + rows.shape[-2], end
            self._report((top // factor - before) * planes.width)
            yield rows
            planes.forget(min(top // factor - halo, begin))  # tiles may have to go on from here

    def _side(self, planes: Rows[Array], count: int, factor: int, halo: int) -> int:
        if halo >= max(planes.height, planes.width):  # each tile would compute the whole image
            return 0
        if isinstance(self.tile, int):
            return self.tile
        needed = self.engine.bytes_per_pixel(factor) * count
        return automatic_tile(self.engine.device, bytes_per_pixel=needed, halo=halo)

    def _report(self, pixels: int) -> None:
        self._done += pixels
        if self.on_progress:
            self.on_progress(self._done / self._work)


def require_tile(tile: int | str) -> None:
    """Raise ConfigError unless `tile` is "auto", 0 or at least 16."""
    whole = isinstance(tile, int) and not isinstance(tile, bool) and (tile == 0 or tile >= SMALLEST_TILE)
    if tile != "auto" and not whole:
        raise ConfigError(f"`tile` must be auto, 0 or at least {SMALLEST_TILE} pixels, got {tile!r}; try auto.")


def _noted(bands: Iterator[Array], scale: int, passed: deque[Band[Array]]) -> Iterator[Array]:
    """Keep bands, which go on to the next pass, to be handed over too."""
    top = 0
    for rows in bands:
        passed.append(Band(scale, top, rows))
        top += rows.shape[-2]
        yield rows


def _with_passed(bands: Iterator[Array], scale: int, passed: deque[Band[Array]]) -> Iterator[Band[Array]]:
    """Hand over bands of the last level, and before each those of lower levels that it took."""
    top = 0
    for rows in bands:
        while passed:
            yield passed.popleft()
        yield Band(scale, top, rows)
        top += rows.shape[-2]


def _zeros(planes: Array, scale: int) -> Array:
    count, _, height, width = planes.shape
    try:
        return namespace(planes).zeros((count, 1, height * scale, width * scale), dtype=planes.dtype)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"Memory must hold the sum of a self-ensemble, {width * scale}x{height * scale} in float32; leave the "
            "self-ensemble out or choose a smaller scale."
        ) from error
