"""Crops of several results side by side, as papers show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import RGB8

_GAP, _CAPTION, _SIZE = 8, 44, 15


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of a row.

    Attributes:
        caption: Lines under the crop.
        image: `(H, W, 3)` `uint8`; all panels of a row show the same scene, LR at a fraction of the size.
    """

    caption: str
    image: RGB8


def detailed_window(image: RGB8, side: int) -> tuple[int, int]:
    """Find the square with the most fine detail.

    Args:
        image: `(H, W, 3)` `uint8`.
        side: Its side; at most the shorter side of the image is used.

    Returns:
        Top and left of the window whose gradients are strongest, searched on a grid of eighths of the side.
    """
    gray = image.astype(np.float64).mean(axis=2)
    side = min(side, *gray.shape)
    gradient = np.zeros_like(gray)
    gradient[:, 1:] += np.abs(np.diff(gray, axis=1))
    gradient[1:] += np.abs(np.diff(gray, axis=0))
    total = np.pad(gradient.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    step = max(1, side // 8)
    tops = np.arange(0, gray.shape[0] - side + 1, step)
    lefts = np.arange(0, gray.shape[1] - side + 1, step)
    bottom, right = tops[:, None] + side, lefts[None] + side
    sums = (
        total[bottom, right]
        - total[tops[:, None], right]
        - total[bottom, lefts[None]]
        + total[tops[:, None], lefts[None]]
    )
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(tops[row]), int(lefts[column])


def enlarged_crop(image: RGB8, *, window: tuple[int, int], side: int, full_height: int, zoom: int = 3) -> RGB8:
    """Cut a square of a scene out of a picture of it, of any size, and enlarge it by pixel repetition.

    Args:
        image: `(H, W, 3)` `uint8`.
        window: Top and left of the square in the original.
        side: Side of the square in the original.
        full_height: Height of the original; that of LR is smaller by the scale.
        zoom: Enlargement of the original.

    Returns:
        `(zoom * side, zoom * side, 3)` `uint8`.
    """
    share = image.shape[0] / full_height
    top, left, extent = (round(value * share) for value in (*window, side))
    crop = Image.fromarray(image[top : top + max(1, extent), left : left + max(1, extent)])
    return np.asarray(crop.resize((side * zoom, side * zoom), Image.Resampling.NEAREST))


def comparison(rows: Sequence[Sequence[Panel]], *, window: tuple[int, int], side: int, zoom: int = 3) -> RGB8:
    """Draw rows of enlarged crops with captions.

    Args:
        rows: One row for each scale; the last panel of a row is the original and sets the coordinates.
        window: Top and left of the crop in the original.
        side: Side of the crop.
        zoom: Enlargement of the drawing, by pixel repetition, so that nothing is smoothed.

    Returns:
        The drawing, `(H, W, 3)` `uint8`.

    Raises:
        ConfigError: If there is nothing to draw.
    """
    if not rows or not rows[0]:
        raise ConfigError("`rows` must hold at least one panel, got none; score at least one scale.")
    width = len(rows[0]) * (side * zoom + _GAP) + _GAP
    height = len(rows) * (side * zoom + _CAPTION + _GAP) + _GAP
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(_SIZE)
    for number, row in enumerate(rows):
        full_height = row[-1].image.shape[0]
        for column, panel in enumerate(row):
            x = _GAP + column * (side * zoom + _GAP)
            y = _GAP + number * (side * zoom + _CAPTION + _GAP)
            crop = enlarged_crop(panel.image, window=window, side=side, zoom=zoom, full_height=full_height)
            canvas.paste(Image.fromarray(crop), (x, y))
            draw.multiline_text((x, y + side * zoom + 2), panel.caption, fill="black", font=font, spacing=2)
    return np.asarray(canvas)
