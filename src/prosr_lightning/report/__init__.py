"""The paper's tables and figures with our runs in them, and sweeps as a page.

`python -m prosr_lightning.report table=6 runs=[DIR,DIR]` prints a table or draws a figure. Words, in any order:

    table=N       1 to 6; race: our runs with parameters, multiply-adds and time; detail: perceptual measures,
                  which table=5 adds too where the runs have them
    figure=N      7, 8 or 9, or race: the same as scatters
    runs=[A,B]    folders with summary.csv, training runs, or multiruns; NAME=DIR says which row a run belongs to
    format=F      markdown (default), latex or csv
    out=FILE      write there instead of to standard output; for a figure a .png, .pdf or .svg (default figure_N.png)
    set=NAME      of figure 8 and the race (default Set14)
    scale=N       of figure 8 and the race's figure (default 4)

`python -m prosr_lightning.report sweep=DIR` writes a whole sweep as one page of HTML that needs nothing else,
DIR/report.html, and its figures and pictures as PNGs beside it: what the jobs are, cost and scored, the paper's rows,
curves, sizes, and pictures before and after. Seeds of one configuration are one row.

    sweep=DIR     a multirun, a folder above several, or a run; sweep=[DIR,DIR] for several in one page
    out=FILE      a .html elsewhere
    set=NAME      the set that Figure 8 shows first
    scale=N       the scale that Figure 8 shows first, and that of the pictures
    pictures=N    0 to 6 of them, enlarged by each configuration's best weights (default 2)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning.console import run_reporting
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import write_file
from prosr_lightning.report.detail import has_measures
from prosr_lightning.report.figures import FIGURES, draw_figure
from prosr_lightning.report.page import write_page
from prosr_lightning.report.tables import TABLES, build_table
from prosr_lightning.runs.scored import read_runs
from prosr_lightning.tables import FORMATS, render
from prosr_lightning.words import WordParser, split_list

__all__ = ["build_table", "draw_figure", "main", "parse_words", "read_runs", "render", "run"]


def parse_words(words: Sequence[str]) -> argparse.Namespace:
    """Read the words of the command line.

    Args:
        words: `key=value`, see the module. A list is in square brackets with commas between; commas within brackets and
            quotes do not separate: `runs=[ProSRN (2x,4x)=DIR,DIR]`.

    Returns:
        A value for each key.

    Raises:
        ConfigError: If a word has no such form, its key is unknown or given twice, or values do not fit.

    Example:
        >>> parse_words(["table=4", "runs=[a,ProSRN (2x, 4x)=b]"]).runs
        ('a', 'ProSRN (2x, 4x)=b')
    """
    parser = WordParser(__doc__ or "")
    parser.add_word("table", choices=TABLES)
    parser.add_word("figure", choices=FIGURES)
    parser.add_word("sweep", type=split_list)
    parser.add_word("runs", type=split_list, default=())
    parser.add_word("format", choices=FORMATS)
    parser.add_word("out", type=lambda text: Path(text).expanduser())
    parser.add_word("set", default="Set14")
    parser.add_word("scale", type=int, default=4, choices=(2, 4, 8, 16))
    parser.add_word("pictures", type=int, choices=range(7))
    options, _ = parser.parse_words(words)
    kinds = [key for key in ("table", "figure", "sweep") if getattr(options, key) is not None]
    if len(kinds) != 1:
        raise ConfigError(
            f"One of table=..., figure=... and sweep=... must be given, got {' and '.join(kinds) or 'none'}; "
            f"tables are {', '.join(TABLES)}, figures {', '.join(FIGURES)}, a sweep is a folder."
        )
    for key, kind in (
        ("runs", "sweep"),
        ("format", "sweep"),
        ("format", "figure"),
        ("pictures", "table"),
        ("pictures", "figure"),
    ):
        if kinds == [kind] and getattr(options, key):
            raise ConfigError(f"`{key}` does not go with {kind}=..., got both; leave it out.")
    if options.sweep == ():
        raise ConfigError("`sweep` must name at least one folder, got []; give sweep=DIR or sweep=[DIR,DIR].")
    if options.sweep and options.out and options.out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"`out` must end in .html for a sweep, got {options.out}; choose another name.")
    return options


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
    text = render(build_table(options.table, runs, dataset=options.set), style)
    if options.table == "5" and any(map(has_measures, runs)):
        text += "\n" + render(build_table("detail", runs), style)
    if options.out is None:
        return text
    write_file(options.out, text)
    return f"Table: {options.out}\n"


def main() -> int:
    """Report as the command line says, and return the exit code."""
    words = sys.argv[1:]
    if not words or set(words) & {"-h", "--help"}:
        sys.stdout.write(f"{__doc__}")
        return 0 if words else 1
    return run_reporting(lambda: sys.stdout.write(run(parse_words(words))))
