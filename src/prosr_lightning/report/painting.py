"""The one painter of all figures, by matplotlib without its global state: for files, and as SVG inside a page."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.report.charts import PAPER, SCALES, Chart, Series
from prosr_lightning.report.labels import Label, place_labels

# Of curves and points in turn, by Okabe and Ito, told apart by colour-blind eyes; the page has a dark set of them.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a3508c", "#b07d00", "#3a8fc8", "#7a4f2b", "#5b5b9a", "#8a8a00", "#c0392b")
INK, MUTED, RULE = "#1c2430", "#5b6675", "#d5dae1"
_WIDE, _NARROW = (8.6, 4.3), (4.9, 4.6)  # inches; the page shows one of them
_INCH = 72  # SVG units
_FEW = 25  # points up to which each of a line is marked
_WHOLE = 20  # from which an axis has whole numbers
_MOST_DOTS = 300  # of a curve; more make the page heavy and tell nothing


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One figure of the page.

    Attributes:
        chart: What it shows.
        wide: SVG for a screen.
        narrow: SVG for a telephone.
        dots: For each of the two: `[x, y, number, tip]` in its own units.
        png: The file beside the page.
    """

    chart: Chart
    wide: str
    narrow: str
    dots: Mapping[str, Sequence[tuple[float, float, int, str]]]
    png: Path


def save_figure(charts: Sequence[Chart], path: Path, caption: str = "") -> None:
    """Draw charts side by side into a file, whole or not at all.

    Args:
        charts: At least one.
        path: Of the picture; matplotlib knows the kind by its suffix.
        caption: Below them.

    Raises:
        StorageError: If the file cannot be written.
    """
    figure = make_figure(charts, caption)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=160)


def make_figure(charts: Sequence[Chart], caption: str = "") -> Figure:
    """Return the figure that `save_figure` writes; it belongs to nobody else, not to pyplot, not to a window."""
    figure, panels = _new_figure(len(charts), _WIDE[0] if len(charts) == 1 else 4.7 * len(charts), _WIDE[1])
    for axes, chart in zip(panels, charts, strict=True):
        _paint(axes, chart)
        axes.set_title(_plain(chart.title), fontsize=10, loc="left")
        if any(series.legend for series in chart.series):
            axes.legend(frameon=False, fontsize=8).set_in_layout(False)  # long names must not squeeze the axes
        if not chart.series:
            axes.text(0.5, 0.5, "not known for these runs", transform=axes.transAxes, ha="center", color=MUTED)
    if caption:
        figure.supxlabel(_plain("\n".join(textwrap.wrap(caption, 110))), fontsize=6, color=MUTED)
    for axes, chart in zip(panels, charts, strict=True):
        _name_points(figure, axes, chart)
    return figure


def draw(chart: Chart, folder: Path) -> Drawing:
    """Draw a chart three times: for wide and narrow screens, and as a PNG.

    Raises:
        StorageError: If the PNG cannot be written.
    """
    path = folder / f"{chart.key}.png"
    save_figure([chart], path)
    parts = {name: _svg(f"{chart.key}-{name}", size, chart) for name, size in (("wide", _WIDE), ("narrow", _NARROW))}
    dots = {name: dots for name, (_, dots) in parts.items()}
    return Drawing(chart=chart, wide=parts["wide"][0], narrow=parts["narrow"][0], dots=dots, png=path)


def _new_figure(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _paint(axes: Axes, chart: Chart) -> None:
    """Draw everything but the names beside points, for which the layout must be settled."""
    for at, series in enumerate(chart.series):
        ours, number = series.number != PAPER, max(series.number, 0)
        points = {"linestyle": "none", "marker": "D" if ours else "o", "markersize": 6}
        line = {
            "linestyle": ("-", "--", ":")[number // len(COLOURS) % 3] if ours else "--",
            "linewidth": 1.1 if series.thin or not ours else 1.7,
            "alpha": 0.7 if series.thin else 1,
            "marker": ("D" if ours and chart.x_scale == "doubling" else "o") if len(series.points) <= _FEW else None,
            "markersize": 5 if ours and chart.x_scale == "doubling" else 3.2,
        }
        (drawn,) = axes.plot(
            *zip(*series.points, strict=True) if series.points else ((), ()),
            color=_colour(series),
            label=_plain(series.legend) or "_",  # a leading underscore keeps it out of the legend
            **(line if series.line else points),
        )
        drawn.set_gid(f"series-{series.number}-{at}")
    axes.margins(x=0.05 if chart.x_scale == "linear" and all(s.line for s in chart.series) else 0.2, y=0.14)
    if chart.y_limits is not None:
        axes.set_ylim(*chart.y_limits)
    if chart.x_scale == "doubling":
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(SCALES), [f"{scale}x" for scale in SCALES])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:,.0f}")
    else:
        axes.set_xscale(chart.x_scale)
        if chart.x_scale == "linear":
            axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter("{x:,.0f}" if axes.get_xlim()[1] > _WHOLE else "{x:g}")
    axes.set_xlabel(chart.x_title, color=MUTED, fontsize=9.5)
    axes.set_ylabel(_plain(chart.y_title), color=MUTED, fontsize=9.5)
    axes.tick_params(which="both", colors=MUTED, labelsize=9, length=0)
    axes.grid(visible=True, which="major", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=INK, linewidth=0.8)


def _name_points(figure: Figure, axes: Axes, chart: Chart) -> None:
    labels = [
        Label(text=_plain(text), x=x, y=y, colour=_colour(series))
        for series in chart.series
        for text, (x, y) in zip(series.beside, series.points, strict=bool(series.beside))
        if text
    ]
    place_labels(figure, axes, labels, above=chart.x_scale == "doubling")


def _colour(series: Series) -> str:
    return MUTED if series.number == PAPER else COLOURS[series.number % len(COLOURS)]


def _plain(text: str) -> str:
    """Return a text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _svg(key: str, size: tuple[float, float], chart: Chart) -> tuple[str, list[tuple[float, float, int, str]]]:
    """Return the drawing and its dots, which tell their values when they are pointed at."""
    figure, (axes,) = _new_figure(1, *size)
    figure.set_dpi(_INCH)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        _paint(axes, chart)
        _name_points(figure, axes, chart)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    lowest, highest = axes.get_ylim()
    dots = []
    for series in chart.series:
        every = -(-len(series.points) // _MOST_DOTS) or 1
        for point, tip in list(zip(series.points, series.tips, strict=True))[::every]:
            if lowest <= point[1] <= highest:
                x, y = axes.transData.transform(point)
                dots.append((round(float(x), 1), round(size[1] * _INCH - float(y), 1), series.number, tip))
    return _clean(file.getvalue(), key), dots


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
    colours |= {colour: f"--series-{number}" for number, colour in enumerate(COLOURS)}
    for colour, name in colours.items():
        svg = svg.replace(colour, f"var({name})")
    return svg.strip()
