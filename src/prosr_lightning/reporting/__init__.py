"""The paper's tables and figures, with our runs beside them: a library; `report.py` is its command."""

from __future__ import annotations

from prosr_lightning.reporting.figures import FIGURES, draw_figure
from prosr_lightning.reporting.published import PublishedScore, published_scores, structure_rows
from prosr_lightning.reporting.render import FORMATS, render
from prosr_lightning.reporting.runs import Run, read_runs
from prosr_lightning.reporting.tables import TABLES, build_table

__all__ = [
    "FIGURES",
    "FORMATS",
    "TABLES",
    "PublishedScore",
    "Run",
    "build_table",
    "draw_figure",
    "published_scores",
    "read_runs",
    "render",
    "structure_rows",
]
