"""Between the channels of a picture and the luminance planes that a network enlarges.

Only luminance goes through the network; Cb and Cr are enlarged by bicubic (docs/paper-notes.md, entry 15). Gray and
alpha are brought to the studio range that the network knows, and back. Colour is premultiplied by alpha, so that what
is hidden under transparent pixels does not bleed into the visible ones. Colours are computed in float64, so that the
picture is to the last bit the one that the tables score.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.errors import OutOfMemoryError
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr, ycbcr_to_rgb
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.imaging.resize import bicubic_upscale

_BLACK, _SPAN = 16 / 255, 219 / 255  # BT.601 studio range of Y
_CHROMA_HALO = 4  # low-resolution rows: twice the reach of the bicubic kernel
_PIXELS_AT_ONCE = 1 << 20  # of the enlarged picture; bounds the float temporaries to some tens of megabytes


class Recoloring:
    """Split a picture into planes, and put enlarged planes together again, a few rows at a time.

    Args:
        pixels: `(H, W, C)`, C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; `uint8`, `uint16`, or floating point
            in `[0, 1]`.
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.top = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0
        self.has_alpha = pixels.shape[-1] in (2, 4)
        self.opaque = not self.has_alpha or bool((pixels[..., -1] == self.top).all())

    def planes(self) -> Tensor:
        """Return what the network enlarges, in float32: `(1, 1, H, W)` luminance, or `(2, 1, H, W)` with alpha."""
        height, width = self.pixels.shape[:2]
        planes = torch.empty(1 if self.opaque else 2, 1, height, width)
        step = _rows_at_once(width)
        for first in range(0, height, step):
            rows = slice(first, min(first + step, height))
            colour, alpha = self._unit(rows)
            planes[0, 0, rows] = rgb_to_luminance(colour)[0] if len(colour) == 3 else _to_studio(colour[0])
            if alpha is not None:
                planes[1, 0, rows] = _to_studio(alpha)
        return planes

    def canvas(self, scale: int) -> Pixels:
        """Return room for the enlarged picture, `(scale * H, scale * W, C)` in the depth of the original.

        Raises:
            OutOfMemoryError: If memory cannot hold it.
        """
        height, width, channels = self.pixels.shape
        shape = (height * scale, width * scale, channels)
        try:
            return np.empty(shape, self.pixels.dtype)
        except MemoryError as error:
            raise OutOfMemoryError(
                f"Memory must hold the result, {shape[1]}x{shape[0]}; choose a smaller scale."
            ) from error

    def merge(self, planes: Tensor, first_row: int, scale: int, out: Pixels) -> None:
        """Write rows of the enlarged picture, in the depth of the original.

        Args:
            planes: Enlarged rows of `planes()`, `(1 or 2, 1, rows, scale * W)`.
            first_row: Where they start in the enlarged picture.
            scale: Total factor.
            out: The `canvas` of that factor.
        """
        step = _rows_at_once(planes.shape[-1])
        for start in range(0, planes.shape[-2], step):
            part = planes[:, 0, start : start + step].double()
            rows = slice(first_row + start, first_row + start + part.shape[-2])
            out[rows] = self._quantised(self._merged(part, rows, scale))

    def _merged(self, planes: Tensor, rows: slice, scale: int) -> Tensor:
        """Return `(C, rows, W)` in `[0, 1]`."""
        if self.pixels.shape[-1] < 3:
            colour = _from_studio(planes[:1])
        else:
            colour = ycbcr_to_rgb(torch.cat([planes[:1], self._chroma(rows, scale)]))
        if not self.has_alpha:
            return colour.clamp_(0, 1)
        if self.opaque:
            return torch.cat([colour, torch.ones_like(colour[:1])]).clamp_(0, 1)
        alpha = _from_studio(planes[1:2]).clamp_(0, 1)
        straight = torch.where(alpha > 0, colour / alpha.clamp(min=1 / 65535), 0.0)  # one 16-bit step
        return torch.cat([straight, alpha]).clamp_(0, 1)

    def _chroma(self, rows: slice, scale: int) -> Tensor:
        """Return rows of the bicubically enlarged Cb and Cr, `(2, rows, W)`."""
        first = max(rows.start // scale - _CHROMA_HALO, 0)
        last = min(-(-rows.stop // scale) + _CHROMA_HALO, self.pixels.shape[0])
        colour, _ = self._unit(slice(first, last))
        chroma = bicubic_upscale(rgb_to_ycbcr(colour)[None, 1:], scale)[0]
        return chroma[:, rows.start - first * scale : rows.stop - first * scale]

    def _unit(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Return colour `(1 or 3, h, W)` in `[0, 1]`, premultiplied, and alpha `(h, W)` unless all is opaque."""
        values = torch.from_numpy(self.pixels[rows].astype(np.float64) / self.top).permute(2, 0, 1)
        colour = values[:-1] if self.has_alpha else values
        return (colour, None) if self.opaque else (colour * values[-1], values[-1])

    def _quantised(self, image: Tensor) -> Pixels:
        values = image.permute(1, 2, 0)
        if self.pixels.dtype.kind == "u":
            values = values.mul_(self.top).add_(0.5).floor_()  # halves up, as MATLAB's im2uint8
        return values.numpy().astype(self.pixels.dtype)


def _to_studio(plane: Tensor) -> Tensor:
    return plane * _SPAN + _BLACK


def _from_studio(plane: Tensor) -> Tensor:
    return (plane - _BLACK) / _SPAN


def _rows_at_once(width: int) -> int:
    return max(_PIXELS_AT_ONCE // width, 1)
