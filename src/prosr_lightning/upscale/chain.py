"""Luminance on its way through the passes of a network, with little held in memory.

This is the one way of inference: `Upscaler`, `evaluate` and the scores after training all go it. It knows planes alone;
`pictures.recoloring` makes them of pictures, and pictures of them.

What is held: the planes, the float32 image of the last pass but one, and the band at hand. A self-ensemble also holds
the sum of its results, in float32.
"""

from __future__ import annotations

import itertools
import logging
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError, OutOfMemoryError
from prosr_lightning.imaging.geometry import NUM_SYMMETRIES, symmetry, undo_symmetry
from prosr_lightning.imaging.tiling import SMALLEST_TILE, enlarge_bands, is_out_of_memory
from prosr_lightning.upscale.engines import Engine
from prosr_lightning.upscale.memory import automatic_tile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Band:
    """Finished rows of one level.

    Attributes:
        scale: Factor of the level.
        top: Place of the first row in the enlarged image.
        rows: `(N, 1, h, scale * W)`, float32, on the CPU.
    """

    scale: int
    top: int
    rows: Tensor


class Chain:
    """Enlarge luminance planes by all passes of a network; call it without gradients.

    Args:
        engine: Runs the network.
        scale: Total factor.
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
        engine: Engine,
        *,
        scale: int,
        tile: int | str = "auto",
        self_ensemble: bool = False,
        exact: bool = True,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        require_tile(tile)
        self.engine, self.tile, self.self_ensemble = engine, tile, self_ensemble
        self.exact, self.on_progress = exact, on_progress
        self.passes = engine.passes(scale)
        factors = [factor for factor, _ in self.passes]
        self.scales = tuple(itertools.accumulate(factors, operator.mul))
        self._work, self._done = 0, 0

    def image(self, planes: Tensor) -> Tensor:
        """Return the last level as a whole.

        Args:
            planes: Luminance `(N, 1, H, W)`, float32, on the CPU.

        Returns:
            `(N, 1, scale * H, scale * W)`, float32, on the CPU, not clamped.

        Raises:
            OutOfMemoryError: If not even the smallest tile fits into memory.
        """
        rows = [band.rows for band in self.bands(planes)]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=-2)

    def bands(self, planes: Tensor, *, every_level: bool = False) -> Iterator[Band]:
        """Enlarge, and hand over each band as soon as it is finished.

        Args:
            planes: As for `image`.
            every_level: Hand over the bands of every level, one level after the other, and not of the last alone.

        Yields:
            Every row of a level once, from top to bottom.

        Raises:
            OutOfMemoryError: If not even the smallest tile fits into memory.
        """
        inputs = (1, *self.scales[:-1])
        self._work = planes.shape[-2] * planes.shape[-1] * sum(scale**2 for scale in inputs)
        self._work *= NUM_SYMMETRIES if self.self_ensemble else 1
        self._done = 0
        yield from (self._ensemble if self.self_ensemble else self._once)(planes, every_level=every_level)

    def _once(self, planes: Tensor, *, every_level: bool) -> Iterator[Band]:
        """Go through all passes."""
        for scale, (factor, halo) in zip(self.scales, self.passes, strict=True):
            last = scale == self.scales[-1]
            count, _, height, width = planes.shape
            enlarged = planes[..., :0, :] if last else torch.empty(count, 1, height * factor, width * factor)
            for top, rows in self._pass(planes, factor, halo):
                if not last:
                    enlarged[..., top : top + rows.shape[-2], :] = rows
                if last or every_level:
                    yield Band(scale, top, rows)
            planes = enlarged

    def _ensemble(self, planes: Tensor, *, every_level: bool) -> Iterator[Band]:
        """Add up what all symmetries of the input come to, turned back, and hand over the means."""
        wanted = self.scales if every_level else self.scales[-1:]
        sums = {scale: _zeros(planes, scale) for scale in wanted}
        for code in range(NUM_SYMMETRIES):
            for band in self._once(symmetry(planes, code).contiguous(), every_level=every_level):
                rows = undo_symmetry(band.rows, code)
                axis, flipped = (-1, code & 1) if code & 4 else (-2, code & 2)
                size, length = rows.shape[axis], sums[band.scale].shape[axis]
                place = length - band.top - size if flipped else band.top
                sums[band.scale].narrow(axis, place, size).add_(rows)
        for scale, total in sums.items():
            yield Band(scale, 0, total.div_(NUM_SYMMETRIES))

    def _pass(self, planes: Tensor, factor: int, halo: int) -> Iterator[tuple[int, Tensor]]:
        """Yield the first row and the pixels of each band of one pass, in streams or in tiles."""
        top = 0
        streamed = self.engine.bands(planes, factor) if self.tile == "auto" else None
        if streamed is not None:
            try:
                for rows in streamed:
                    yield top, rows
                    before, top = top // factor, top + rows.shape[-2]
                    self._report((top // factor - before) * planes.shape[-1])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                log.warning("Out of memory with whole rows; going on with tiles.")
            else:
                return
        for begin, rows in enlarge_bands(
            lambda window: self.engine.enlarge(window, factor, exact=self.exact),
            planes,
            factor=factor,
            halo=halo,
            tile=self._side(planes, factor, halo),
            first=top // factor,
            on_tile=self._report,
        ):
            yield max(begin, top), rows[..., max(top - begin, 0) :, :]

    def _side(self, planes: Tensor, factor: int, halo: int) -> int:
        if isinstance(self.tile, int):
            return self.tile
        needed = self.engine.bytes_per_pixel(factor) * len(planes)
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


def _zeros(planes: Tensor, scale: int) -> Tensor:
    count, _, height, width = planes.shape
    try:
        return torch.zeros(count, 1, height * scale, width * scale)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"Memory must hold the sum of a self-ensemble, {width * scale}x{height * scale} in float32; leave the "
            "self-ensemble out or choose a smaller scale."
        ) from error
