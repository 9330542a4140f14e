"""Between the channels of a picture and the planes that a network enlarges, a few rows at a time.

Luminance goes through the network; Cb and Cr do too or are enlarged by bicubic (docs/paper-notes.md, entry 15). Gray
and alpha are brought to the studio range that the network knows, and back. What is hidden under transparent pixels is
replaced by the visible colours around, so that it neither bleeds into them nor gives them a rim. Colours are computed
in float64, so that the picture is to the last bit the one that the tables score.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Generic

import numpy as np
import numpy.typing as npt

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.arrays import Array, namespace
from prosr_lightning.imaging.bicubic import Resizer
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr, ycbcr_to_rgb
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.imaging.rows import Rows
from prosr_lightning.pictures.rows import PixelRows

WAYS = ("bicubic", "network")
Indices = npt.NDArray[np.intp]

_BLACK, _SPAN = 16 / 255, 219 / 255  # BT.601 studio range of Y
_SPREAD = 8  # pixels over which visible colours spread under transparent ones; a network hardly looks farther
_PIXELS_AT_ONCE = 1 << 18  # of either picture; bounds the float temporaries to some tens of megabytes


class Recoloring(Generic[Array]):
    """Split a picture into planes, and put enlarged planes together again.

    Args:
        picture: Its rows are read as they are needed.
        sizes: Height and width of every enlarged picture that will be merged.
        arrays: What the planes are arrays of, numpy or torch.
        chroma: "bicubic" or "network".
        alpha: "bicubic" or "network", which is sharper but draws dots around masks that are nowhere in between; those
            go through bicubic in any case.

    Attributes:
        planes: What the network enlarges, float32: luminance `(N, 1, H, W)`; in colour, with chroma="network", Cb and
            Cr behind it; and with alpha="network" alpha behind these.

    Raises:
        ConfigError: If `chroma` or `alpha` is neither.
    """

    def __init__(
        self,
        picture: PixelRows,
        sizes: Sequence[tuple[int, int]],
        *,
        arrays: ModuleType,
        chroma: str = "bicubic",
        alpha: str = "network",
    ) -> None:
        require_ways(chroma=chroma, alpha=alpha)
        height, width, channels = picture.shape
        self._dtype, self._xp = picture.dtype, arrays
        self._top = float(np.iinfo(self._dtype.name).max) if self._dtype.kind == "u" else 1.0
        self._colour, self._has_alpha = channels >= 3, channels in (2, 4)
        self._opaque, hard = (True, True) if not self._has_alpha else _opacity(picture, self._top)
        self._by_network = self._colour and chroma == "network"
        self._alpha_by_network = not self._opaque and alpha == "network" and not hard
        parts = _parts(picture)
        if not self._opaque:
            parts = _without_hidden(Rows(parts, height=height, width=width, axis=-3), self._top)
        bands, *others = itertools.tee(parts, 1 + 3 * len(sizes))
        self.planes = self._rows(self._split, bands, picture)
        self._chroma, self._alpha = dict[tuple[int, int], Resizer[Array]](), dict[tuple[int, int], Resizer[Array]]()
        self._range = dict[tuple[int, int], _AlphaRange[Array]]()
        for target in sizes:
            if self._colour and not self._by_network:
                self._chroma[target] = Resizer(self._rows(self._ycbcr, others.pop(), picture), target)
            if not self._opaque:
                self._range[target] = _AlphaRange(self._rows(self._alpha_of, others.pop(), picture), target)
                if not self._alpha_by_network:
                    self._alpha[target] = Resizer(self._rows(self._alpha_of, others.pop(), picture), target)

    @staticmethod
    def _rows(plane: Callable[[Pixels], Array], bands: Iterator[Pixels], picture: PixelRows) -> Rows[Array]:
        return Rows(map(plane, bands), height=picture.shape[0], width=picture.shape[1])

    def merge(self, planes: Array, size: tuple[int, int]) -> Iterator[Pixels]:
        """Yield the next rows `(h, W, C)` of an enlarged picture, in the depth of the original.

        Args:
            planes: The next enlarged rows of `planes`, `(N, 1, rows, W)`.
            size: Of the enlarged picture, one of `sizes`.
        """
        step = max(_PIXELS_AT_ONCE // planes.shape[-1], 1)
        for start in range(0, planes.shape[-2], step):
            part = self._xp.asarray(planes[:, 0, start : start + step], dtype=self._xp.float64)
            yield self._quantised(self._merged(part, size))

    def _split(self, pixels: Pixels) -> Array:
        colour, alpha = self._unit(pixels)
        if self._by_network:
            planes = rgb_to_ycbcr(colour)
        else:
            planes = rgb_to_luminance(colour) if self._colour else _to_studio(colour)
        if self._alpha_by_network:
            planes = self._xp.concatenate([planes, _to_studio(alpha)])
        return self._xp.asarray(planes[:, None], dtype=self._xp.float32)

    def _merged(self, planes: Array, size: tuple[int, int]) -> Array:
        """Return `(C, rows, W)` in `[0, 1]`."""
        count, xp = planes.shape[-2], self._xp
        if self._by_network:
            colour = ycbcr_to_rgb(planes[:3])
        elif self._colour:
            colour = ycbcr_to_rgb(xp.concatenate([planes[:1], self._chroma[size](count)]))
        else:
            colour = _from_studio(planes[:1])
        if not self._has_alpha:
            return _clipped(colour, 0, 1)
        if self._opaque:
            return _clipped(xp.concatenate([colour, xp.ones_like(colour[:1])]), 0, 1)
        alpha = _from_studio(planes[-1:]) if self._alpha_by_network else self._alpha[size](count)
        alpha = _clipped(alpha, *self._range[size](count))
        return _clipped(xp.concatenate([xp.where(alpha > 0, colour, 0.0), alpha]), 0, 1)

    def _unit(self, pixels: Pixels) -> tuple[Array, Array]:
        """Return colour `(1 or 3, h, W)` and alpha `(0 or 1, h, W)` in `[0, 1]`."""
        values = self._xp.asarray(np.moveaxis(pixels.astype(np.float64) / self._top, -1, 0))
        colours = 3 if self._colour else 1
        return values[:colours], values[colours:]

    def _ycbcr(self, pixels: Pixels) -> Array:
        return rgb_to_ycbcr(self._unit(pixels)[0])[1:]

    def _alpha_of(self, pixels: Pixels) -> Array:
        return self._xp.asarray(pixels[None, ..., -1].astype(np.float64) / self._top)

    def _quantised(self, image: Array) -> Pixels:
        if self._dtype.kind == "u":
            image *= self._top
            image += 0.5
            self._xp.floor(image, out=image)  # halves up, as MATLAB's im2uint8
        return np.moveaxis(np.asarray(image), 0, -1).astype(self._dtype)


def require_ways(**ways: str) -> None:
    """Raise ConfigError unless each of "chroma" and "alpha" is one of `WAYS`."""
    for name, way in ways.items():
        if way not in WAYS:
            raise ConfigError(f"`{name}` must be {' or '.join(WAYS)}, got {way!r}; choose one of them.")


class _AlphaRange(Generic[Array]):
    """The least and the greatest of the four samples of alpha around each enlarged pixel, from top to bottom.

    Networks and bicubic overshoot at the edges of a mask; where all around is transparent, or opaque, so is the result.
    """

    def __init__(self, alpha: Rows[Array], target: tuple[int, int]) -> None:
        self._rows, self._target, self._done = alpha, target, 0
        self._columns = _neighbours(alpha.width, target[1], 0, target[1])

    def __call__(self, count: int) -> tuple[Array, Array]:
        """Return both for the next rows, `(1, count, W)`."""
        begin, self._done = self._done, self._done + count
        above, below = _neighbours(self._rows.height, self._target[0], begin, self._done)
        first = int(above[0])
        window = self._rows.take(first, int(below[-1]) + 1)
        self._rows.forget(first)
        xp = namespace(window)
        four = xp.stack([window[:, rows - first][..., columns] for rows in (above, below) for columns in self._columns])
        return xp.amin(four, 0), xp.amax(four, 0)


def _neighbours(length: int, target: int, begin: int, end: int) -> tuple[Indices, Indices]:
    """Return the samples before and behind each of the samples `begin` to `end - 1` of an enlarged line."""
    before = ((2 * np.arange(begin, end) + 1) * length - target) // (2 * target)
    return before.clip(min=0), (before + 1).clip(max=length - 1)


def _opacity(picture: PixelRows, top: float) -> tuple[bool, bool]:
    """Tell whether all is opaque, and whether no alpha is in between."""
    opaque = hard = True
    for rows in picture.bands():
        alpha = rows[..., -1]
        opaque, hard = opaque and bool((alpha == top).all()), hard and bool(((alpha == top) | (alpha == 0)).all())
        if not hard:
            break
    return opaque, hard


def _without_hidden(rows: Rows[npt.NDArray[np.generic]], top: float) -> Iterator[Pixels]:
    """Yield the rows of a picture with visible colours spread over transparent pixels."""
    for first in range(0, rows.height, 2 * _SPREAD):
        above, last = max(first - _SPREAD, 0), min(first + 2 * _SPREAD, rows.height)
        window = rows.take(above, min(last + _SPREAD, rows.height))
        rows.forget(last - _SPREAD)
        yield _spread(window, top)[first - above : last - above]


def _spread(pixels: Pixels, top: float) -> Pixels:
    """Give transparent pixels the mean of the visible ones around, from neighbour to neighbour; far ones become black.

    Args:
        pixels: `(H, W, C)`, alpha the last channel.
        top: Value of opaque alpha.
    """
    hidden = pixels[..., -1:] == 0
    if not hidden.any():
        return pixels
    values = np.moveaxis(pixels.astype(np.float32), -1, 0)
    weight = values[-1:] / top
    sums, todo = np.concatenate([values[:-1] * weight, weight]), weight == 0
    for _ in range(_SPREAD):
        around = _sums_of_nine(sums)
        reached = todo & (around[-1:] > 0)
        sums = np.where(reached, around / np.maximum(around[-1:], 1e-12), sums)
        todo = todo & ~reached
    spread = np.moveaxis(sums[:-1], 0, -1).clip(0, top)
    spread = np.rint(spread) if pixels.dtype.kind == "u" else spread
    colours = np.where(hidden, spread.astype(pixels.dtype), pixels[..., :-1])
    return np.concatenate([colours, pixels[..., -1:]], axis=-1)


def _sums_of_nine(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the sum of each sample and the eight around it."""
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    three = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return three[..., :-2] + three[..., 1:-1] + three[..., 2:]


def _parts(picture: PixelRows) -> Iterator[Pixels]:
    """Yield the rows of a picture, never too many at once."""
    step = max(_PIXELS_AT_ONCE // picture.shape[1], 1)
    for rows in picture.bands():
        for first in range(0, len(rows), step):
            yield rows[first : first + step]


def _clipped(image: Array, least: Any, most: Any) -> Array:  # noqa: ANN401  # numbers or arrays
    return namespace(image).clip(image, least, most, out=image)


def _to_studio(plane: Array) -> Array:
    return plane * _SPAN + _BLACK


def _from_studio(plane: Array) -> Array:
    return (plane - _BLACK) / _SPAN
