"""Between the channels of a picture and the planes that a network enlarges, a few rows at a time.

Luminance goes through the network; Cb and Cr do too or are enlarged by bicubic (docs/paper-notes.md, entry 15). Gray
and alpha are brought to the studio range that the network knows, and back. What is hidden under transparent pixels is
replaced by the visible colours around, so that it neither bleeds into them nor gives them a rim. Colours are computed
in float64, so that the picture is to the last bit the one that the tables score.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr, ycbcr_to_rgb
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.imaging.resize import Resizer
from prosr_lightning.imaging.rows import Rows
from prosr_lightning.pictures.rows import PixelRows

WAYS = ("bicubic", "network")

_BLACK, _SPAN = 16 / 255, 219 / 255  # BT.601 studio range of Y
_SPREAD = 8  # pixels over which visible colours spread under transparent ones; a network hardly looks farther
_PIXELS_AT_ONCE = 1 << 18  # of either picture; bounds the float temporaries to some tens of megabytes


class Recoloring:
    """Split a picture into planes, and put enlarged planes together again.

    Args:
        picture: Its rows are read as they are needed.
        sizes: Height and width of every enlarged picture that will be merged.
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
        self, picture: PixelRows, sizes: Sequence[tuple[int, int]], *, chroma: str = "bicubic", alpha: str = "network"
    ) -> None:
        require_ways(chroma=chroma, alpha=alpha)
        height, width, channels = picture.shape
        self._dtype = picture.dtype
        self._top = float(np.iinfo(self._dtype.name).max) if self._dtype.kind == "u" else 1.0
        self._colour, self._has_alpha = channels >= 3, channels in (2, 4)
        self._opaque, hard = (True, True) if not self._has_alpha else _opacity(picture, self._top)
        self._by_network = self._colour and chroma == "network"
        self._alpha_by_network = not self._opaque and alpha == "network" and not hard
        parts = _parts(picture)
        if not self._opaque:
            parts = _without_hidden(Rows(parts, height=height, width=width), self._top)
        bands, *others = itertools.tee(parts, 1 + 3 * len(sizes))
        self.planes = self._rows(self._split, bands, picture)
        self._chroma, self._alpha = dict[tuple[int, int], _Bicubic](), dict[tuple[int, int], _Bicubic]()
        self._range = dict[tuple[int, int], _AlphaRange]()
        for target in sizes:
            if self._colour and not self._by_network:
                self._chroma[target] = _Bicubic(self._rows(self._ycbcr, others.pop(), picture), target)
            if not self._opaque:
                self._range[target] = _AlphaRange(self._rows(self._alpha_of, others.pop(), picture), target)
                if not self._alpha_by_network:
                    self._alpha[target] = _Bicubic(self._rows(self._alpha_of, others.pop(), picture), target)

    @staticmethod
    def _rows(plane: Callable[[Pixels], Tensor], bands: Iterator[Pixels], picture: PixelRows) -> Rows[Tensor]:
        return Rows(map(plane, bands), height=picture.shape[0], width=picture.shape[1])

    def merge(self, planes: Tensor, size: tuple[int, int]) -> Iterator[Pixels]:
        """Yield the next rows `(h, W, C)` of an enlarged picture, in the depth of the original.

        Args:
            planes: The next enlarged rows of `planes`, `(N, 1, rows, W)`.
            size: Of the enlarged picture, one of `sizes`.
        """
        step = max(_PIXELS_AT_ONCE // planes.shape[-1], 1)
        for start in range(0, planes.shape[-2], step):
            part = planes[:, 0, start : start + step].double()
            yield self._quantised(self._merged(part, size))

    def _split(self, pixels: Pixels) -> Tensor:
        colour, alpha = self._unit(pixels)
        if self._by_network:
            planes = rgb_to_ycbcr(colour)
        else:
            planes = rgb_to_luminance(colour) if self._colour else _to_studio(colour)
        planes = torch.cat([planes, _to_studio(alpha)]) if self._alpha_by_network else planes
        return planes[:, None].float()

    def _merged(self, planes: Tensor, size: tuple[int, int]) -> Tensor:
        """Return `(C, rows, W)` in `[0, 1]`."""
        count = planes.shape[-2]
        if self._by_network:
            colour = ycbcr_to_rgb(planes[:3])
        elif self._colour:
            colour = ycbcr_to_rgb(torch.cat([planes[:1], self._chroma[size](count)]))
        else:
            colour = _from_studio(planes[:1])
        if not self._has_alpha:
            return colour.clamp_(0, 1)
        if self._opaque:
            return torch.cat([colour, torch.ones_like(colour[:1])]).clamp_(0, 1)
        alpha = _from_studio(planes[-1:]) if self._alpha_by_network else self._alpha[size](count)
        alpha = alpha.clamp_(*self._range[size](count))
        return torch.cat([torch.where(alpha > 0, colour, 0.0), alpha]).clamp_(0, 1)

    def _unit(self, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """Return colour `(1 or 3, h, W)` and alpha `(0 or 1, h, W)` in `[0, 1]`."""
        values = torch.from_numpy(pixels.astype(np.float64) / self._top).permute(2, 0, 1)
        colours = 3 if self._colour else 1
        return values[:colours], values[colours:]

    def _ycbcr(self, pixels: Pixels) -> Tensor:
        return rgb_to_ycbcr(self._unit(pixels)[0])[1:]

    def _alpha_of(self, pixels: Pixels) -> Tensor:
        return torch.from_numpy(pixels[..., -1].astype(np.float64) / self._top)[None]

    def _quantised(self, image: Tensor) -> Pixels:
        values = image.permute(1, 2, 0)
        if self._dtype.kind == "u":
            values = values.mul_(self._top).add_(0.5).floor_()  # halves up, as MATLAB's im2uint8
        return values.numpy().astype(self._dtype)


def require_ways(**ways: str) -> None:
    """Raise ConfigError unless each of "chroma" and "alpha" is one of `WAYS`."""
    for name, way in ways.items():
        if way not in WAYS:
            raise ConfigError(f"`{name}` must be {' or '.join(WAYS)}, got {way!r}; choose one of them.")


class _Bicubic:
    """Planes by bicubic, from top to bottom."""

    def __init__(self, planes: Rows[Tensor], target: tuple[int, int]) -> None:
        self._resizer = Resizer((planes.height, planes.width), target, dtype=torch.float64)
        self._rows, self._done = planes, 0

    def __call__(self, count: int) -> Tensor:
        """Return the next rows, `(C, count, W)`."""
        begin, self._done = self._done, self._done + count
        return self._resizer.rows(self._rows, begin, self._done)


class _AlphaRange:
    """The least and the greatest of the four samples of alpha around each enlarged pixel, from top to bottom.

    Networks and bicubic overshoot at the edges of a mask; where all around is transparent, or opaque, so is the result.
    """

    def __init__(self, alpha: Rows[Tensor], target: tuple[int, int]) -> None:
        self._rows, self._target, self._done = alpha, target, 0
        self._columns = _neighbours(alpha.width, target[1], 0, target[1])

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """Return both for the next rows, `(1, count, W)`."""
        begin, self._done = self._done, self._done + count
        above, below = _neighbours(self._rows.height, self._target[0], begin, self._done)
        first = int(above[0])
        window = self._rows.take(first, int(below[-1]) + 1)
        self._rows.forget(first)
        four = [window[:, rows - first][..., columns] for rows in (above, below) for columns in self._columns]
        return torch.stack(four).amin(0), torch.stack(four).amax(0)


def _neighbours(length: int, target: int, begin: int, end: int) -> tuple[Tensor, Tensor]:
    """Return the samples before and behind each of the samples `begin` to `end - 1` of an enlarged line."""
    before = torch.div((2 * torch.arange(begin, end) + 1) * length - target, 2 * target, rounding_mode="floor")
    return before.clamp(min=0), (before + 1).clamp(max=length - 1)


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
    values = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    weight = values[-1:] / top
    colour, weights, todo = values[:-1] * weight, weight, weight == 0
    for _ in range(_SPREAD):
        means = F.avg_pool2d(torch.cat([colour, weights])[None], 3, stride=1, padding=1)[0]
        mean = means[:-1] / means[-1:].clamp(min=1e-12)
        reached = todo & (means[-1:] > 0)
        colour, weights = torch.where(reached, mean, colour), torch.where(reached, 1.0, weights)
        todo = todo & ~reached
    spread = colour.permute(1, 2, 0).numpy().clip(0, top)
    spread = np.rint(spread) if pixels.dtype.kind == "u" else spread
    colours = np.where(hidden, spread.astype(pixels.dtype), pixels[..., :-1])
    return np.concatenate([colours, pixels[..., -1:]], axis=-1)


def _parts(picture: PixelRows) -> Iterator[Pixels]:
    """Yield the rows of a picture, never too many at once."""
    step = max(_PIXELS_AT_ONCE // picture.shape[1], 1)
    for rows in picture.bands():
        for first in range(0, len(rows), step):
            yield rows[first : first + step]


def _to_studio(plane: Tensor) -> Tensor:
    return plane * _SPAN + _BLACK


def _from_studio(plane: Tensor) -> Tensor:
    return (plane - _BLACK) / _SPAN
