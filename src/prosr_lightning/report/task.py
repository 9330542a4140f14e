"""One table, figure or page, from its options to its file."""

from __future__ import annotations

import argparse
from pathlib import Path

from prosr_lightning.imaging.io import write_file
from prosr_lightning.report.detail import has_measures
from prosr_lightning.report.figures import draw_figure
from prosr_lightning.report.page import write_page
from prosr_lightning.report.tables import build_table
from prosr_lightning.runs.scored import read_runs
from prosr_lightning.tables import render

__all__ = ["read_runs", "run"]


def run(options: argparse.Namespace) -> str:
    """Make the table, the figure or the page.

    Returns:
        What to print: the table, or where the file is.

    Raises:
        ConfigError: If the options or the runs do not fit each other.
        DataError: If a run's folder is missing or cannot be read.
        StorageError: If the file cannot be written.
    """
    if options.sweep:
        folders = [Path(word).expanduser() for word in options.sweep]
        pictures = 2 if options.pictures is None else options.pictures
        page = write_page(folders, options.out, dataset=options.set, scale=options.scale, pictures=pictures)
        return f"Page: {page}\n"
    if options.table is None:
        path = options.out or Path(f"figure_{options.figure}.png")
        draw_figure(options.figure, options.runs, path, dataset=options.set, scale=options.scale)
        return f"Figure: {path}\n"
    runs, style = read_runs(options.runs), options.format or "markdown"
    text = render(build_table(options.table, runs, dataset=options.set, scale=options.scale), style)
    if options.table == "5" and any(map(has_measures, runs)):
        text += "\n" + render(build_table("detail", runs), style)
    if options.out is None:
        return text
    write_file(options.out, text)
    return f"Table: {options.out}\n"
