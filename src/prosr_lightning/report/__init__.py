"""The paper's tables and figures with our runs in them, and sweeps as a page.

`python -m prosr_lightning.report table=6 runs=[DIR,DIR]` prints a table or draws a figure. Words, in any order:

    table=N       1 to 6; race: our runs with parameters, multiply-adds and time; detail: perceptual measures,
                  which table=5 adds too where the runs have them; cost: parameters, operations, time and memory of
                  every method, measured on this device
    figure=N      7, 8 or 9, or race: the same as scatters
    runs=[A,B]    folders with summary.csv, training runs, or multiruns; NAME=DIR says which row a run belongs to
    format=F      markdown (default), latex or csv
    out=FILE      write there instead of to standard output; for a figure a .png, .pdf or .svg (default figure_N.png)
    set=NAME      of figure 8 and the race (default Set14)
    scale=N       of figure 8, the race's figure and table=cost (default 4)

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
from typing import TYPE_CHECKING

import lazy_loader

from prosr_lightning.console import run_reporting
from prosr_lightning.errors import ConfigError
from prosr_lightning.tables import FORMATS, render
from prosr_lightning.words import WordParser, split_list

if TYPE_CHECKING:
    from prosr_lightning.report.figures import draw_figure as draw_figure
    from prosr_lightning.report.tables import build_table as build_table
    from prosr_lightning.report.task import read_runs as read_runs
    from prosr_lightning.report.task import run as run

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"figures": ["draw_figure"], "tables": ["build_table"], "task": ["read_runs", "run"]},
)
__all__ += ["main", "parse_words", "render"]

TABLES = ("1", "2", "3", "4", "5", "6", "race", "detail", "cost")
FIGURES = ("7", "8", "9", "race")


def parse_words(words: Sequence[str]) -> argparse.Namespace:
    """Read the words of the command line.

    Args:
        words: `key=value`, see the module. A list is in square brackets with commas between; commas within brackets and
            quotes do not separate: `runs=[ProSRN (2x,4x)=DIR,DIR]`.

    Returns:
        A value for each key.

    Raises:
        ConfigError: If a word has no such form, its key is unknown or given twice, or values do not fit.

    Examples:
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


def main() -> int:
    """Report as the command line says, and return the exit code."""
    words = sys.argv[1:]
    if not words or set(words) & {"-h", "--help"}:
        sys.stdout.write(f"{__doc__}")
        return 0 if words else 1

    def command() -> None:
        options = parse_words(words)
        from prosr_lightning.report.task import run  # noqa: PLC0415  # imports torch and matplotlib

        sys.stdout.write(run(options))

    return run_reporting(command)
