"""Figures 7, 8 and 9 of the paper and the race, drawn by matplotlib without touching its global state."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.report.costs import parameters_by_scale
from prosr_lightning.report.labels import Label, place_labels
from prosr_lightning.report.points import Point, parameter_points, race_points
from prosr_lightning.report.protocols import describe_protocol
from prosr_lightning.runs.log import read_curves
from prosr_lightning.runs.scored import Run, read_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = ("7", "8", "9", "race")
FIGURE_SUFFIXES = (".png", ".pdf", ".svg")

_MARKERS = "osD^vP*XhdpH"
_GREY = "0.35"


def draw_figure(name: str, runs: Sequence[str], path: Path, *, dataset: str = "Set14", scale: int = 4) -> None:
    """Draw a figure into a file, whole or not at all.

    Args:
        name: One of `FIGURES`. "7": validation PSNR over steps, a curve for each run, coloured by depth. "8": PSNR over
            parameters, the paper's methods and ours. "9": parameters over scale. "race": PSNR of ours over parameters,
            multiply-adds and time.
        runs: Folders, or NAME=folder; 9 takes none.
        path: Of the picture; its suffix is one of `FIGURE_SUFFIXES`.
        dataset: For "8" and "race".
        scale: For "8" and "race".

    Raises:
        ConfigError: If there is no such figure, the suffix is not one of these, or the runs do not fit.
        DataError: If a run's folder does not hold what the figure shows.
        MissingDependencyError: If matplotlib is not installed.
        StorageError: If the file cannot be written.
    """
    if name not in FIGURES:
        raise ConfigError(f"`figure` must be one of {', '.join(FIGURES)}, got {name!r}; choose one of them.")
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise ConfigError(
            f"`out` must end in {', '.join(FIGURE_SUFFIXES)} for a figure, got {path}; choose one of these."
        )
    if name == "7":
        figure = convergence_figure(runs)
    elif name == "8":
        figure = parameters_figure(runs, dataset=dataset, scale=scale)
    elif name == "9":
        if runs:
            raise ConfigError(
                f"Figure 9 is computed from the networks and takes no runs, got {runs[0]}; leave runs out."
            )
        figure = scales_figure()
    else:
        figure = race_figure(runs, dataset=dataset, scale=scale)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=160)


def convergence_figure(runs: Sequence[str]) -> Figure:
    """Draw Fig. 7: validation PSNR over steps; runs of the same depth have the same colour."""
    curves = read_curves(runs)
    figure, (axes,) = new_figure(1, 6.4, 4.2)
    labels = list(dict.fromkeys(curve.label for curve in curves))
    for curve in curves:
        number = labels.index(curve.label)
        first = not any(line.get_label() == curve.label for line in axes.get_lines())
        axes.plot(
            curve.steps,
            curve.psnr_db,
            color=f"C{number % 10}",
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4,
            linewidth=1.4,
            label=curve.label if first else "_again",  # a leading underscore keeps it out of the legend
        )
    _dress(axes, "Step", "Validation PSNR (dB)", "Convergence by depth (Fig. 7)")
    axes.legend(frameon=False)
    return figure


def parameters_figure(runs: Sequence[str], *, dataset: str = "Set14", scale: int = 4) -> Figure:
    """Draw Fig. 8: PSNR over parameters; methods without a network here (A+, RFL, SelfExSR) are left out."""
    loaded = read_runs(runs)
    points = parameter_points(loaded, dataset=dataset, scale=scale)
    if not points:
        raise ConfigError(f"Figure 8 has no point for {dataset} at {scale}x; choose a set and a scale of Table 6.")
    figure, (axes,) = new_figure(1, 6.8, 4.8)
    _scatter(axes, points)
    _dress(axes, "Parameters", f"PSNR on {dataset} {scale}x (dB)", f"Parameters and PSNR, {dataset} {scale}x (Fig. 8)")
    axes.legend(frameon=False, loc="lower right")
    _caption(figure, loaded)
    place_labels(figure, axes, _names(points))
    return figure


def scales_figure() -> Figure:
    """Draw Fig. 9: parameters over scale, computed from the networks."""
    figure, (axes,) = new_figure(1, 6.4, 4.2)
    curves = parameters_by_scale()
    labels: list[Label] = []
    for number, (method, counts) in enumerate(curves.items()):
        axes.plot(
            list(counts),
            list(counts.values()),
            color=f"C{number}",
            marker=_MARKERS[number],
            linewidth=1.4,
            label=method,
        )
        labels += [Label(text=f"{count:,}", x=scale, y=count, colour=f"C{number}") for scale, count in counts.items()]
    scales = sorted({scale for counts in curves.values() for scale in counts})
    _dress(axes, "Scale", "Parameters", "Parameters at each scale (Fig. 9)")
    axes.set_xscale("log", base=2)
    axes.set_xticks(scales, [f"{scale}x" for scale in scales])
    axes.margins(x=0.16)
    axes.set_ylim(0, 1.12 * max(max(counts.values()) for counts in curves.values()))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False)
    place_labels(figure, axes, labels, above=True)
    return figure


def race_figure(runs: Sequence[str], *, dataset: str = "Set14", scale: int = 4) -> Figure:
    """Draw PSNR of our runs over parameters, multiply-adds for one pixel of the result, and seconds for an image."""
    loaded = read_runs(runs)
    costs = {
        "parameters": "Parameters",
        "multiply_adds": "Multiply-adds per output pixel",
        "seconds": f"Seconds per image of {dataset}",
    }
    figure, panels = new_figure(3, 14, 4.6)
    points: list[list[Point]] = []
    for axes, (cost, title) in zip(panels, costs.items(), strict=True):
        points.append(race_points(loaded, cost, dataset=dataset, scale=scale))
        if points[-1]:
            _scatter(axes, points[-1])
        else:
            axes.text(0.5, 0.5, "not known for these runs", transform=axes.transAxes, ha="center", color=_GREY)
        _dress(axes, title, f"PSNR on {dataset} {scale}x (dB)", "")
    _caption(figure, loaded)
    for axes, some in zip(panels, points, strict=True):
        place_labels(figure, axes, _names(some))
    return figure


def new_figure(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure that belongs to nobody else: not to pyplot, not to a window."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # optional
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "Figures need matplotlib, which is not installed; install it with `pip install prosr-lightning[plots]`."
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _dress(axes: Axes, x_title: str, y_title: str, title: str) -> None:
    axes.set_xlabel(x_title)
    axes.set_ylabel(y_title)
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _scatter(axes: Axes, points: Sequence[Point]) -> None:
    """Draw points over a logarithmic cost, the paper's and ours in colours and shapes of their own."""
    for ours, label, marker in ((False, "paper, Table 6", "o"), (True, "run here", "D")):
        some = [point for point in points if point.ours == ours]
        if some:
            costs, psnr_db = [point.cost for point in some], [point.psnr_db for point in some]
            axes.scatter(costs, psnr_db, color=_colour(ours=ours), marker=marker, s=36, zorder=3, label=label)
    axes.set_xscale("log")
    axes.margins(x=0.18, y=0.12)


def _names(points: Sequence[Point]) -> list[Label]:
    return [Label(text=point.label, x=point.cost, y=point.psnr_db, colour=_colour(ours=point.ours)) for point in points]


def _colour(*, ours: bool) -> str:
    return "C3" if ours else "C0"


def _caption(figure: Figure, runs: Sequence[Run]) -> None:
    text = "\n".join(textwrap.wrap(describe_protocol(runs), 110))
    figure.supxlabel(text, fontsize=6, color=_GREY)
