"""Convergence (Fig. 7) and PSNR over parameters (Fig. 8) of a sweep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.report.labels import Label, place_labels
from prosr_lightning.report.page.configurations import Configuration
from prosr_lightning.report.page.drawing import MUTED, SERIES, Dot, Drawing, draw, dress, plain
from prosr_lightning.report.page.jobs import Job
from prosr_lightning.report.points import Point, parameter_points, race_points
from prosr_lightning.report.published import published_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VAL = "val/psnr"
_MOST_METRICS = 4
_FEW = 25  # validations up to which each is marked
_EARLY = 8  # validations from which the first few may be cut off below
_WIDE_RANGE = 8  # of parameters, from which a logarithmic axis reads better
_WHOLE = 20  # updates or minutes, from which an axis has whole numbers
_MOST_DOTS = 300  # of a curve; more make the page heavy and tell nothing


def comparable_metrics(jobs: Sequence[Job]) -> list[str]:
    """Return the columns of the logs by which jobs can be compared.

    `val/psnr` is a mean over the sets and scales that a run validated at. Where these differ between the jobs, each set
    and scale is compared by itself, the most common first.

    Returns:
        At most `_MOST_METRICS`; nothing without logs.
    """
    logs = [job.progress.psnr_db.keys() for job in jobs if job.progress is not None]
    if all(VAL in columns and columns == logs[0] for columns in logs):
        return [VAL] if logs else []
    counts = Counter(name for columns in logs for name in columns if name != VAL)
    return [name for name, _ in counts.most_common(_MOST_METRICS)]


def metric_title(metric: str) -> str:
    """Return what an axis says of a column of the log.

    Example:
        >>> metric_title("val/Kodak24/x2/psnr")
        'Validation PSNR on Kodak24 at 2x (dB)'
    """
    return f"Validation PSNR{'' if metric == VAL else f' on {_place(metric)}'} (dB)"


def _place(metric: str) -> str:
    name, _, scale = metric.removeprefix("val/").removesuffix("/psnr").rpartition("/x")
    return f"{name} at {scale}x"


def convergence(configurations: Sequence[Configuration], metrics: Sequence[str], folder: Path) -> list[Drawing]:
    """Draw validation PSNR over updates, and over minutes where they are known of every curve.

    Args:
        configurations: Seeds of one have one colour.
        metrics: The columns, see `comparable_metrics`; a figure for each.
        folder: Gets the PNGs.
    """
    drawings = []
    for number, metric in enumerate(metrics):
        logs = [job.progress for one in configurations for job in _logged(one, metric)]
        names = {n: one.label for n, one in enumerate(configurations) if _logged(one, metric)}
        for unit, title in (("updates", "Updates"), ("minutes", "Minutes of training")):
            if unit == "minutes" and any(log is None or log.minutes is None for log in logs):
                continue

            def paint(_: Figure, axes: Axes, metric: str = metric, unit: str = unit, title: str = title) -> list[Dot]:
                dots = _curves(axes, configurations, metric, unit)
                dress(axes, title, metric_title(metric))
                axes.xaxis.set_major_formatter("{x:,.0f}" if axes.get_xlim()[1] > _WHOLE else "{x:g}")
                return dots

            key = f"convergence-{unit}" + (f"-{number + 1}" if number else "")
            where = "" if metric == VAL else f"{_place(metric)}, "
            drawings.append(draw(key, f"Convergence: {where}over {unit}", folder, paint, names))
    return drawings


def _logged(one: Configuration, metric: str) -> list[Job]:
    return [job for job in one.jobs if job.progress is not None and metric in job.progress.psnr_db]


def _curves(axes: Axes, configurations: Sequence[Configuration], metric: str, unit: str) -> list[Dot]:
    dots: list[Dot] = []
    later: list[float] = []
    for number, one in enumerate(configurations):
        jobs = _logged(one, metric)
        for job in jobs:
            points = _points(job, metric, unit)
            alone = len(jobs) == 1
            (line,) = axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                color=SERIES[number % len(SERIES)],
                linestyle=("-", "--", ":")[number // len(SERIES) % 3],
                linewidth=1.6 if alone else 1.2,
                alpha=1 if alone else 0.7,
                marker="o" if len(points) <= _FEW else None,
                markersize=3.2,
                label=plain(one.label) if job is jobs[0] else "_",
            )
            line.set_gid(f"series-{number}-{job.title}")
            first = max(1, len(points) // 20) if len(points) >= _EARLY else 0
            later += [y for _, y in points[first:]]
            who = one.label if alone else f"{one.label}, seed {job.seed}"
            for x, y in points[:: -(-len(points) // _MOST_DOTS) or 1]:
                place = f"{x:,.0f} updates" if unit == "updates" else f"{x:.1f} min"
                dots.append(Dot(x=x, y=y, series=number, text=f"{who}\n{y:.2f} dB at {place}"))
    if not later:
        return []
    room = max(0.05 * (max(later) - min(later)), 0.02)
    axes.set_ylim(min(later) - room, max(later) + room)
    return [dot for dot in dots if abs(dot.y - (max(later) + min(later)) / 2) <= (max(later) - min(later)) / 2 + room]


def _points(job: Job, metric: str, unit: str) -> list[tuple[float, float]]:
    """Return the validations of a job; those that are not finite are left out."""
    log = job.progress
    assert log is not None
    places: Sequence[float] = log.steps if unit == "updates" else log.minutes or ()
    return [(x, y) for x, y in zip(places, log.psnr_db[metric], strict=True) if math.isfinite(y)]


def parameters_and_psnr(
    configurations: Sequence[Configuration], numbers: Sequence[int], dataset: str, scale: int, folder: Path
) -> Drawing | None:
    """Draw Fig. 8 for one set and scale: PSNR over parameters, with the paper's methods where they can be compared.

    Args:
        configurations: Means over seeds are drawn; all must be scored by one protocol.
        numbers: Of their colours.
        dataset: The set.
        scale: The factor.
        folder: Gets the PNG.

    Returns:
        None where no configuration was scored there or no cost is known.
    """
    runs, series = [], {}
    for one, number in zip(configurations, numbers, strict=True):
        run = one.mean_run()
        if run is not None and (dataset, scale) in run.scores:
            runs.append(replace(run, name=one.label))
            series[one.label] = number
    if not runs:
        return None
    with_paper = runs[0].protocol == PAPER and any(one.dataset == dataset for one in published_scores(6))
    if with_paper:
        points = parameter_points(runs, dataset=dataset, scale=scale)
    else:
        points = race_points(runs, "parameters", dataset=dataset, scale=scale)
    if not any(point.ours for point in points):
        return None

    def paint(figure: Figure, axes: Axes) -> list[Dot]:
        return _scatter(figure, axes, points, series, f"PSNR on {dataset} at {scale}x (dB)")

    key = f"parameters-psnr-{''.join(sign if sign.isalnum() else '_' for sign in dataset)}-x{scale}"
    return draw(
        key, f"Parameters and PSNR, {dataset} {scale}x", folder, paint, {n: label for label, n in series.items()}
    )


def _scatter(figure: Figure, axes: Axes, points: Sequence[Point], series: dict[str, int], title: str) -> list[Dot]:
    dots, labels = [], []
    for point in points:
        number = series.get(point.label, 0) if point.ours else -1
        colour = SERIES[number % len(SERIES)] if point.ours else MUTED
        axes.scatter([point.cost], [point.psnr_db], color=colour, marker="D" if point.ours else "o", s=38, zorder=3)
        who = point.label if point.ours else f"{point.label}, as published"
        text = f"{who}\n{point.psnr_db:.2f} dB, {point.cost:,.0f} parameters"
        dots.append(Dot(x=point.cost, y=point.psnr_db, series=number, text=text))
        labels.append(Label(text=plain(point.label), x=point.cost, y=point.psnr_db, colour=colour))
    costs = [point.cost for point in points]
    if max(costs) > _WIDE_RANGE * min(costs):
        axes.set_xscale("log")
    axes.margins(x=0.2, y=0.14)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    dress(axes, "Parameters", title)
    place_labels(figure, axes, labels)
    return dots
