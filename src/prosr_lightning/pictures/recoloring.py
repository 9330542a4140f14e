"""Between the channels of a picture and the planes that a network enlarges, a few rows at a time.

Luminance goes through the network; Cb and Cr do too or are enlarged by bicubic (docs/paper-notes.md, entry 15). Gray
and alpha are brought to the studio range that the network knows, and back. Colour is premultiplied by alpha, so that
what is hidden under transparent pixels does not bleed into the visible ones. Colours are computed in float64, so that
the picture is to the last bit the one that the tables score.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr, ycbcr_to_rgb
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.imaging.resize import Resizer
from prosr_lightning.imaging.rows import Rows
from prosr_lightning.pictures.rows import PixelRows

CHROMA = ("bicubic", "network")

_BLACK, _SPAN = 16 / 255, 219 / 255  # BT.601 studio range of Y
_PIXELS_AT_ONCE = 1 << 20  # of either picture; bounds the float temporaries to some tens of megabytes


class Recoloring:
    """Split a picture into planes, and put enlarged planes together again.

    Args:
        picture: Its rows are read as they are needed.
        sizes: Height and width of every enlarged picture that will be merged.
        chroma: "bicubic" or "network".

    Attributes:
        planes: What the network enlarges, float32: luminance `(N, 1, H, W)`; in colour, with chroma="network", Cb and
            Cr behind it; and alpha behind these unless all is opaque.

    Raises:
        ConfigError: If `chroma` is neither.
    """

    def __init__(self, picture: PixelRows, sizes: Sequence[tuple[int, int]], *, chroma: str = "bicubic") -> None:
        if chroma not in CHROMA:
            raise ConfigError(f"`chroma` must be {' or '.join(CHROMA)}, got {chroma!r}; choose one of them.")
        height, width, channels = picture.shape
        self._dtype = picture.dtype
        self._top = float(np.iinfo(self._dtype.name).max) if self._dtype.kind == "u" else 1.0
        self._colour, self._has_alpha = channels >= 3, channels in (2, 4)
        self._opaque = not self._has_alpha or all(bool((rows[..., -1] == self._top).all()) for rows in picture.bands())
        self._by_network = self._colour and chroma == "network"
        bands, *others = itertools.tee(_parts(picture), 1 + 2 * len(sizes))
        self.planes = Rows(map(self._split, bands), height=height, width=width)
        self._chroma, self._alpha = dict[tuple[int, int], _Chroma](), dict[tuple[int, int], _AlphaRange]()
        for target in sizes:
            if self._colour and not self._by_network:
                self._chroma[target] = _Chroma(Rows(map(self._ycbcr, others.pop()), height=height, width=width), target)
            if not self._opaque:
                self._alpha[target] = _AlphaRange(
                    Rows(map(self._alpha_of, others.pop()), height=height, width=width), target
                )

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
        planes = planes if alpha is None else torch.cat([planes, _to_studio(alpha)])
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
        alpha = _from_studio(planes[-1:]).clamp_(*self._alpha[size](count))
        straight = torch.where(alpha > 0, colour / alpha.clamp(min=1 / 65535), 0.0)  # one 16-bit step
        return torch.cat([straight, alpha]).clamp_(0, 1)

    def _unit(self, pixels: Pixels) -> tuple[Tensor, Tensor | None]:
        """Return colour `(1 or 3, h, W)` in `[0, 1]`, premultiplied, and alpha `(1, h, W)` unless all is opaque."""
        values = torch.from_numpy(pixels.astype(np.float64) / self._top).permute(2, 0, 1)
        colour = values[:-1] if self._has_alpha else values
        return (colour, None) if self._opaque else (colour * values[-1:], values[-1:])

    def _ycbcr(self, pixels: Pixels) -> Tensor:
        return rgb_to_ycbcr(self._unit(pixels)[0])[1:]

    def _alpha_of(self, pixels: Pixels) -> Tensor:
        return torch.from_numpy(pixels[..., -1] / self._top)[None]

    def _quantised(self, image: Tensor) -> Pixels:
        values = image.permute(1, 2, 0)
        if self._dtype.kind == "u":
            values = values.mul_(self._top).add_(0.5).floor_()  # halves up, as MATLAB's im2uint8
        return values.numpy().astype(self._dtype)


class _Chroma:
    """Cb and Cr by bicubic, from top to bottom."""

    def __init__(self, chroma: Rows[Tensor], target: tuple[int, int]) -> None:
        self._resizer = Resizer((chroma.height, chroma.width), target, dtype=torch.float64)
        self._rows, self._done = chroma, 0

    def __call__(self, count: int) -> Tensor:
        """Return the next rows, `(2, count, W)`."""
        begin, self._done = self._done, self._done + count
        return self._resizer.rows(self._rows, begin, self._done)


class _AlphaRange:
    """The least and the greatest alpha around each enlarged pixel, from top to bottom.

    A network overshoots at the edges of a mask; where all around is transparent, or opaque, so is the result.
    """

    def __init__(self, alpha: Rows[Tensor], target: tuple[int, int]) -> None:
        self._rows, self._target, self._done = alpha, target, 0
        self._columns = _nearest(alpha.width, target[1], 0, target[1])

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """Return both for the next rows, `(1, count, W)`."""
        begin, self._done = self._done, self._done + count
        near = _nearest(self._rows.height, self._target[0], begin, self._done)
        first, last = int(near[0]), int(near[-1])
        above = max(first - 1, 0)
        window = self._rows.take(above, min(last + 2, self._rows.height))
        self._rows.forget(above)
        greatest, least = (F.max_pool2d(sign * window, 3, stride=1, padding=1) for sign in (1, -1))  # padded by -inf
        low, high = (part[:, near - above][..., self._columns] for part in (-least, greatest))
        return low, high


def _nearest(length: int, target: int, begin: int, end: int) -> Tensor:
    """Return the sample in which each of the samples `begin` to `end - 1` of an enlarged line lies."""
    return (2 * torch.arange(begin, end) + 1) * length // (2 * target)


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
