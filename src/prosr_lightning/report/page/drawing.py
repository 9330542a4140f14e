"""Matplotlib's drawings as SVG inside a page: its colours follow the page, its points can be asked for their values."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.report.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of curves and points in turn, by Okabe and Ito, told apart by colour-blind eyes; the page has a dark set of them.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a3508c", "#b07d00", "#3a8fc8", "#7a4f2b", "#5b5b9a", "#8a8a00", "#c0392b")
INK, MUTED, RULE = "#1c2430", "#5b6675", "#d5dae1"
_WIDE, _NARROW = (8.6, 4.3), (4.9, 4.6)  # inches; the page shows one of them
_INCH = 72  # SVG units


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point that tells its values when it is pointed at, in data coordinates."""

    x: float
    y: float
    series: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One figure of the page.

    Attributes:
        key: Unique in the page.
        title: What it shows.
        wide: SVG for a screen.
        narrow: SVG for a telephone.
        dots: For each of the two: `[x, y, series, text]` in its own units.
        names: What the legend says of each series.
        png: The file beside the page.
    """

    key: str
    title: str
    wide: str
    narrow: str
    dots: dict[str, list[list[float | int | str]]]
    names: Mapping[int, str]
    png: Path


Draw = Callable[["Figure", "Axes"], Sequence[Dot]]


def draw(key: str, title: str, folder: Path, paint: Draw, names: Mapping[int, str]) -> Drawing:
    """Draw a figure three times: for wide and narrow screens, and as a PNG.

    Args:
        key: Unique in the page; names the PNG.
        title: What it shows; stands in the PNG only, the page has it as text.
        folder: Gets the PNG.
        paint: Draws into the axes and returns the points that shall tell their values.
        names: What the legend says of each series.

    Returns:
        The figure.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        StorageError: If the PNG cannot be written.
    """
    parts, dots = {}, {}
    for name, size in (("wide", _WIDE), ("narrow", _NARROW)):
        parts[name], dots[name] = _svg(f"{key}-{name}", size, paint)
    path = folder / f"{key}.png"
    figure, (axes,) = new_figure(1, *_WIDE)
    paint(figure, axes)
    axes.set_title(plain(title), fontsize=10, loc="left")
    if len([one for one in axes.get_legend_handles_labels()[1] if one]) > 1:
        axes.legend(frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=160)
    return Drawing(key=key, title=title, wide=parts["wide"], narrow=parts["narrow"], dots=dots, names=names, png=path)


def dress(axes: Axes, x_title: str, y_title: str) -> None:
    """Give axes the page's look: few lines, quiet colours."""
    axes.set_xlabel(x_title, color=MUTED, fontsize=9.5)
    axes.set_ylabel(y_title, color=MUTED, fontsize=9.5)
    axes.tick_params(which="both", colors=MUTED, labelsize=9, length=0)
    axes.grid(visible=True, which="major", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.spines["bottom"].set_linewidth(0.8)


def plain(text: str) -> str:
    """Return a text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _svg(key: str, size: tuple[float, float], paint: Draw) -> tuple[str, list[list[float | int | str]]]:
    import matplotlib as mpl  # noqa: PLC0415  # optional; new_figure says so where it is missing

    figure, (axes,) = new_figure(1, *size)
    figure.set_dpi(_INCH)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        dots = paint(figure, axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    height = size[1] * _INCH
    places: list[list[float | int | str]] = []
    for dot in dots:
        x, y = axes.transData.transform((dot.x, dot.y))
        places.append([round(float(x), 1), round(height - float(y), 1), dot.series, dot.text])
    return _clean(file.getvalue(), key), places


def _clean(svg: str, key: str) -> str:
    """Keep the element alone, its names unique in the page, and its colours those of the page's style sheet."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'\b(xlink:href|href)="#([^"]+)"', rf'href="#{key}-\2"', svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", svg)
    svg = re.sub(r'(<svg[^>]*?) (?:height)="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) (?:width)="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    colours = {INK: "--ink", MUTED: "--muted", RULE: "--rule"}
    colours |= {colour: f"--series-{number}" for number, colour in enumerate(SERIES)}
    for colour, name in colours.items():
        svg = svg.replace(colour, f"var({name})")
    return svg.strip()
