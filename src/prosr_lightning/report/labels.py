"""Names beside points that neither cover each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_NEAR, _FAR, _FURTHER = 7, 20, 34  # distances to try, in points
_MARKER = 5  # half the side of a marker, in points
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # right, left, above, below, corners
_ABOVE = (_SIDES[2], _SIDES[3], *_SIDES[4:])


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text that belongs to a point, in data coordinates."""

    text: str
    x: float
    y: float
    colour: str


def place_labels(figure: Figure, axes: Axes, labels: Sequence[Label], *, above: bool = False) -> None:
    """Write each text at the first free place around its point, with a line to it where that is not close by.

    Args:
        figure: Its canvas must be Agg's.
        axes: Scales and limits must be final.
        labels: Texts and points. Where every place is taken, a text stands at the first all the same.
        above: Never beside a point, as where lines go on from it.
    """
    figure.draw_without_rendering()  # settles the layout, and so where data coordinates are
    pixels = figure.dpi / 72
    around = _MARKER * pixels
    places = [axes.transData.transform((label.x, label.y)) for label in labels]
    taken = [(x - around, y - around, x + around, y + around) for x, y in places]
    inside = _corners(axes.get_window_extent())
    sides = _ABOVE if above else _SIDES
    for number, label in enumerate(labels):
        own = taken[number]
        for distance, side in ((distance, side) for distance in (_NEAR, _FAR, _FURTHER) for side in sides):
            text = _annotate(axes, label, distance, side)
            box = _corners(text.get_window_extent())
            others = [other for other in taken if other is not own]
            if _within(box, inside) and not any(_overlap(box, other) for other in others):
                break
            text.remove()
        else:
            box = own
            _annotate(axes, label, _NEAR, sides[0])
        taken.append(box)


def _annotate(axes: Axes, label: Label, distance: float, side: tuple[int, int]) -> Annotation:
    across, up = side
    text = axes.annotate(
        label.text,
        (label.x, label.y),
        (across * distance, up * distance),
        textcoords="offset points",
        ha={1: "left", 0: "center", -1: "right"}[across],
        va={1: "bottom", 0: "center", -1: "top"}[up],
        fontsize=8,
        color=label.colour,
        arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.6} if distance > _NEAR else None,
    )
    text.set_in_layout(False)  # the layout is settled, and a long name must not squeeze the axes
    return text


def _corners(box: Bbox) -> tuple[float, float, float, float]:
    return float(box.x0), float(box.y0), float(box.x1), float(box.y1)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _within(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]
