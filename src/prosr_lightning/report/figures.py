"""Every figure by its number, into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prosr_lightning.errors import ConfigError, require_choice
from prosr_lightning.report import FIGURES
from prosr_lightning.report.charts import (
    COSTS,
    Chart,
    convergence_chart,
    parameter_points,
    psnr_chart,
    race_points,
    scale_chart,
)
from prosr_lightning.report.painting import save_figure
from prosr_lightning.report.protocols import describe_protocol
from prosr_lightning.runs.log import read_curves
from prosr_lightning.runs.scored import read_runs

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")


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
        StorageError: If the file cannot be written.
    """
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise ConfigError(
            f"`out` must end in {', '.join(FIGURE_SUFFIXES)} for a figure, got {path}; choose one of these."
        )
    charts, caption = figure_charts(name, runs, dataset=dataset, scale=scale)
    save_figure(charts, path, caption)


def figure_charts(name: str, runs: Sequence[str], *, dataset: str = "Set14", scale: int = 4) -> tuple[list[Chart], str]:
    """Return what a figure shows, and its caption; see `draw_figure`."""
    if name == "7":
        curves = read_curves(runs)
        labels = list(dict.fromkeys(label for label, _ in curves))
        chart = convergence_chart([(labels.index(label), label, label, progress) for label, progress in curves])
        return [replace(chart, title="Convergence by depth (Fig. 7)")], ""
    if name == "9":
        if runs:
            raise ConfigError(
                f"Figure 9 is computed from the networks and takes no runs, got {runs[0]}; leave runs out."
            )
        return [replace(scale_chart(), title="Parameters at each scale (Fig. 9)")], ""
    require_choice("figure", name, FIGURES)
    scored = read_runs(runs)
    if name == "race":
        points = {cost: race_points(scored, cost, dataset=dataset, scale=scale) for cost in COSTS}
        charts = [psnr_chart(points[cost], cost, dataset=dataset, scale=scale) for cost in COSTS]
        return charts, describe_protocol(scored)
    points_of_8 = parameter_points(scored, dataset=dataset, scale=scale)
    if not points_of_8:
        raise ConfigError(f"Figure 8 has no point for {dataset} at {scale}x; choose a set and a scale of Table 6.")
    chart = psnr_chart(points_of_8, dataset=dataset, scale=scale)
    return [replace(chart, title=f"{chart.title} (Fig. 8)")], describe_protocol(scored)
