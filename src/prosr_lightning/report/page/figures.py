"""The figures of a sweep: convergence (Fig. 7), PSNR over parameters (Fig. 8) and parameters over scale (Fig. 9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks import count_parameters
from prosr_lightning.report.charts import (
    SCALES,
    Chart,
    convergence_chart,
    loss_chart,
    parameter_points,
    psnr_chart,
    race_points,
    scale_chart,
    value_chart,
)
from prosr_lightning.report.page.configurations import Configuration, short_keys
from prosr_lightning.report.page.tables import best_validation, place_order
from prosr_lightning.report.painting import draw
from prosr_lightning.report.published import published_scores
from prosr_lightning.runs.log import VAL, Progress
from prosr_lightning.runs.trained import TrainedRun

_MOST_METRICS = 4
_FEWEST = 3  # numbers that make a curve worth looking at
_MOST_SCATTERS = 9


def draw_figures(
    configurations: Sequence[Configuration],
    alike: tuple[Sequence[Configuration], Sequence[int]],
    metrics: Sequence[str],
    folder: Path,
    first: tuple[str, int],
    keys: Sequence[str] = (),
) -> dict[str, Any]:
    """Draw the figures.

    Args:
        configurations: All of them.
        alike: Those scored by one protocol, and the numbers of their colours.
        metrics: The columns of the logs to compare, see `comparable_metrics`.
        folder: Gets the PNGs.
        first: The set and the scale of the scatter that comes first.
        keys: In which the configurations differ.

    Returns:
        Drawings under "convergence", "searched", "scatters" and "sizes" (None where no count is known).
    """
    places = {
        place for configuration in alike[0] if (run := configuration.mean_run()) is not None for place in run.scores
    }
    ranked = sorted(places, key=lambda place: (place != first, place_order(place)))
    scatters = [_scatter(*alike, *place) for place in ranked[:_MOST_SCATTERS]]
    sizes = _parameters(configurations)
    return {
        "convergence": [draw(chart, folder) for chart in _convergence(configurations, metrics)],
        "searched": [draw(chart, folder) for chart in _searched(configurations, keys)],
        "scatters": [draw(chart, folder) for chart in scatters if chart is not None],
        "sizes": draw(scale_chart(sizes, "parameters-scale"), folder) if sizes else None,
    }


def comparable_metrics(jobs: Sequence[TrainedRun]) -> list[str]:
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


def _convergence(configurations: Sequence[Configuration], metrics: Sequence[str]) -> list[Chart]:
    """Return a chart over updates for each metric, and one over minutes where they are known of every curve."""
    charts = []
    for at, metric in enumerate(metrics):
        curves = _curves(configurations, metric)
        timed = all(progress.minutes is not None for *_, progress in curves)
        for unit in ("updates", "minutes") if timed else ("updates",):
            key = f"convergence-{unit}" + (f"-{at + 1}" if at else "")
            charts.append(convergence_chart(curves, metric, unit, key))
    losses = loss_chart(_curves(configurations, metrics[0]), "convergence-loss") if metrics else None
    return charts if losses is None else [*charts, losses]


def _curves(configurations: Sequence[Configuration], metric: str) -> list[tuple[int, str, str, Progress]]:
    curves = []
    for number, configuration in enumerate(configurations):
        logged = [(job, job.progress) for job in configuration.jobs if job.progress and metric in job.progress.psnr_db]
        for job, progress in logged:
            who = configuration.label if len(logged) == 1 else f"{configuration.label}, seed {job.record.seed}"
            curves.append((number, configuration.label, who, progress))
    return curves


def _searched(configurations: Sequence[Configuration], keys: Sequence[str]) -> list[Chart]:
    """Return a chart for each key of which `_FEWEST` numbers or more were tried."""
    charts = []
    for at, (key, name) in enumerate(zip(keys, short_keys(keys), strict=True)):
        points = [
            (number, configuration.label, value, best.mean)
            for number, configuration in enumerate(configurations)
            if (value := _number(configuration.values[at])) is not None
            and (best := configuration.spread(best_validation)) is not None
        ]
        if len({value for _, _, value, _ in points}) >= _FEWEST:
            charts.append(value_chart(name, points, f"searched-{key.replace('.', '-').replace('/', '-')}"))
    return charts


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _scatter(configurations: Sequence[Configuration], numbers: Sequence[int], dataset: str, scale: int) -> Chart | None:
    """Return Fig. 8 for one set and scale, with the paper's methods where they can be compared.

    Means over seeds are drawn. None where no configuration was scored there or no cost is known.
    """
    runs, colours = [], {}
    for configuration, number in zip(configurations, numbers, strict=True):
        run = configuration.mean_run()
        if run is not None and (dataset, scale) in run.scores:
            runs.append(replace(run, name=configuration.label))
            colours[configuration.label] = number
    if not runs:
        return None
    if runs[0].info.protocol == PAPER and any(printed.dataset == dataset for printed in published_scores(6)):
        points = parameter_points(runs, dataset=dataset, scale=scale)
    else:
        points = race_points(runs, "parameters", dataset=dataset, scale=scale)
    if not any(point.ours for point in points):
        return None
    key = f"parameters-psnr-{''.join(sign if sign.isalnum() else '_' for sign in dataset)}-x{scale}"
    return psnr_chart(points, dataset=dataset, scale=scale, numbers=colours, key=key)


def _parameters(configurations: Sequence[Configuration]) -> dict[int, tuple[str, dict[int, int]]]:
    """Return label and counts by the number of the configuration; those with equal counts share a line."""
    lines: dict[int, tuple[str, dict[int, int]]] = {}
    for number, configuration in enumerate(configurations):
        counts = _counts(configuration)
        same = next((first for first, (_, others) in lines.items() if others == counts), None)
        if same is not None:
            lines[same] = (f"{lines[same][0]}; {configuration.label}", counts)
        elif counts:
            lines[number] = (configuration.label, counts)
    return lines


def _counts(configuration: Configuration) -> dict[int, int]:
    """Return the parameters of a configuration's network at each scale that it can do."""
    record = next((job.record for job in configuration.jobs if job.record.architecture), None)
    network = None if record is None else record.build()
    parameters = configuration.jobs[0].parameters if network is None else count_parameters(network)
    scale = None if record is None else record.architecture.get("scale")
    scales = (scale,) if isinstance(scale, int) else SCALES
    return dict.fromkeys(scales, parameters) if parameters else {}
