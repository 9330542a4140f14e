"""Names beside points that neither cover each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

_DISTANCES = (7, 20, 34)  # to try, in points
_MARKER = 5  # half the side of a marker, in points
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # right, left, above, below, corners


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
    around = _MARKER * figure.dpi / 72
    points = [axes.transData.transform((label.x, label.y)) for label in labels]
    taken = [Bbox.from_extents(x - around, y - around, x + around, y + around) for x, y in points]
    inside = axes.get_window_extent()
    sides = _SIDES[2:] if above else _SIDES
    for label, own in zip(labels, tuple(taken), strict=True):
        others = [box for box in taken if box is not own]
        for distance, side in [(distance, side) for distance in _DISTANCES for side in sides]:
            text = _annotate(axes, label, distance, side)
            box = Bbox(text.get_window_extent().get_points())
            if all(inside.contains(*corner) for corner in box.get_points()) and not box.count_overlaps(others):
                taken.append(box)
                break
            text.remove()
        else:
            _annotate(axes, label, _DISTANCES[0], sides[0])


def _annotate(axes: Axes, label: Label, distance: float, side: tuple[int, int]) -> Annotation:
    across, up = side
    text = axes.annotate(
        label.text,
        (label.x, label.y),
        (across * distance, up * distance),
        textcoords="offset points",
        ha=("center", "left", "right")[across],
        va=("center", "bottom", "top")[up],
        fontsize=8,
        color=label.colour,
        arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.6} if distance > _DISTANCES[0] else None,
    )
    text.set_in_layout(False)  # the layout is settled, and a long name must not squeeze the axes
    return text
