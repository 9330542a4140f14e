"""The way of one picture through the passes of a network, with little held in memory.

What is held: the picture, the float32 luminance of the last pass but one (a byte for each pixel of the result), and the
result. The last pass is turned into the result's depth and colour band by band.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prosr_lightning.errors import OutOfMemoryError
from prosr_lightning.imaging.geometry import NUM_SYMMETRIES, symmetry, undo_symmetry
from prosr_lightning.imaging.tiling import enlarge_bands, is_out_of_memory
from prosr_lightning.pictures.recoloring import Recoloring
from prosr_lightning.upscale.engines import Engine
from prosr_lightning.upscale.memory import automatic_tile

log = logging.getLogger(__name__)

Pixels = npt.NDArray[Any]


class Chain:
    """One picture to enlarge.

    Args:
        engine: Runs the network.
        pixels: `(H, W, C)`; see `Recoloring`.
        scale: Total factor.
        tile: Side of a tile in pixels of the input of each pass; 0 for none; "auto".
        on_progress: Called with the share of the work done.
    """

    def __init__(
        self,
        engine: Engine,
        pixels: Pixels,
        *,
        scale: int,
        tile: int | str,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        self.engine, self.tile, self.on_progress = engine, tile, on_progress
        self.recoloring = Recoloring(pixels)
        self.passes = engine.passes(scale)
        self.exact = pixels.dtype != np.uint8  # half precision has the digits for 8 bits, not for 16
        height, width = pixels.shape[:2]
        factors = [factor for factor, _ in self.passes]
        self.work = height * width * sum(math.prod(factors[:number]) ** 2 for number in range(len(factors)))
        self.done = 0

    def run(self, *, every_level: bool, self_ensemble: bool) -> list[Pixels]:
        """Return the pixels of every level, or of the last."""
        planes, scale = self.recoloring.planes(), 1
        results: list[Pixels] = []
        for number, (factor, halo) in enumerate(self.passes, start=1):
            last = number == len(self.passes)
            scale *= factor
            result = self._canvas(scale) if last or every_level else None
            planes = self._pass(planes, (factor, halo, scale), result, keep=not last, self_ensemble=self_ensemble)
            if result is not None:
                results.append(result)
        return results

    def _pass(
        self, planes: Tensor, step: tuple[int, int, int], result: Pixels | None, *, keep: bool, self_ensemble: bool
    ) -> Tensor:
        """Enlarge all planes once, into `result` where it is wanted; return them where they are needed again."""
        factor, _, scale = step
        count, _, height, width = planes.shape
        enlarged = torch.empty(count, 1, height * factor, width * factor) if keep else planes[..., :0, :]
        for top, band in self._bands(planes, step, self_ensemble=self_ensemble):
            if keep:
                enlarged[..., top : top + band.shape[-2], :] = band
            if result is not None:
                self.recoloring.merge(band, top, scale, result)
        return enlarged

    def _bands(
        self, planes: Tensor, step: tuple[int, int, int], *, self_ensemble: bool
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the first row and the pixels of each band, in streams or in tiles."""
        factor, halo, _ = step
        if self.tile == "auto" and not self_ensemble:
            streamed = self.engine.bands(planes, factor)
            if streamed is not None:
                done = self.done
                try:
                    yield from self._streamed(streamed, planes, factor)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    log.warning("Out of memory with whole rows; going on with tiles.")
                    self._report(done - self.done)
                else:
                    return
        enlarge = self._enlarge_symmetric if self_ensemble else self.engine.enlarge
        yield from enlarge_bands(
            lambda window: enlarge(window, factor, exact=self.exact),
            planes,
            factor=factor,
            halo=halo,
            tile=self._tile(planes, factor, halo),
            on_tile=self._report,
        )

    def _streamed(self, bands: Iterator[Tensor], planes: Tensor, factor: int) -> Iterator[tuple[int, Tensor]]:
        top, reported = 0, 0
        for band in bands:
            yield top, band
            top += band.shape[-2]
            self._report((top // factor - reported) * planes.shape[-1])
            reported = top // factor

    def _enlarge_symmetric(self, window: Tensor, factor: int, *, exact: bool) -> Tensor:
        """Return the mean over the eight symmetries."""
        turned = (
            undo_symmetry(self.engine.enlarge(symmetry(window, code), factor, exact=exact), code)
            for code in range(NUM_SYMMETRIES)
        )
        return sum(turned, start=torch.zeros(())) / NUM_SYMMETRIES

    def _canvas(self, scale: int) -> Pixels:
        height, width, channels = self.recoloring.pixels.shape
        shape = (height * scale, width * scale, channels)
        try:
            return np.empty(shape, self.recoloring.pixels.dtype)
        except MemoryError as error:
            raise OutOfMemoryError(
                f"Memory must hold the result, {shape[1]}x{shape[0]}; choose a smaller scale."
            ) from error

    def _tile(self, planes: Tensor, factor: int, halo: int) -> int:
        if isinstance(self.tile, int):
            return self.tile
        needed = self.engine.bytes_per_pixel(factor) * len(planes)
        return automatic_tile(self.engine.device, bytes_per_pixel=needed, halo=halo)

    def _report(self, pixels: int) -> None:
        self.done += pixels
        if self.on_progress:
            self.on_progress(self.done / self.work)
