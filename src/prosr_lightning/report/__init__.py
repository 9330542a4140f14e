"""The paper's tables and figures with our runs in them, and sweeps as a page.

`python -m prosr_lightning.report table=6 runs=[DIR,DIR]` prints a table or draws a figure. Words, in any order:

    table=N       1 to 6; race: our runs with parameters, multiply-adds and time; detail: perceptual measures,
                  which table=5 adds too where the runs have them
    figure=N      7, 8 or 9, or race: the same as scatters; needs the extra `plots`
    runs=[A,B]    folders with summary.csv, training runs, or multiruns; NAME=DIR says which row a run belongs to
    format=F      markdown (default), latex or csv
    out=FILE      write there instead of to standard output; for a figure a .png, .pdf or .svg (default figure_N.png)
    set=NAME      of figure 8 and the race (default Set14)
    scale=N       of figure 8 and the race's figure (default 4)

`python -m prosr_lightning.report sweep=DIR` writes a whole sweep as one page of HTML that needs nothing else,
DIR/report.html, and its figures and pictures as PNGs beside it: what the jobs are, cost and scored, the paper's rows,
curves, sizes, and pictures before and after. Seeds of one configuration are one row. Figures need the extra `plots`;
without it the page says so.

    sweep=DIR     a multirun, a folder above several, or a run; sweep=[DIR,DIR] for several in one page
    out=FILE      a .html elsewhere
    set=NAME      the set that Figure 8 shows first
    scale=N       the scale that Figure 8 shows first, and that of the pictures
    pictures=N    0 to 6 of them, enlarged by each configuration's best weights (default 2)
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from prosr_lightning.console import run_reporting
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.report.detail import has_measures
from prosr_lightning.report.figures import FIGURES, draw_figure
from prosr_lightning.report.page import write_page
from prosr_lightning.report.render import FORMATS, render
from prosr_lightning.report.tables import TABLES, build_table
from prosr_lightning.runs.scored import read_runs

__all__ = ["ReportOptions", "build_table", "draw_figure", "main", "parse_words", "read_runs", "render", "run"]


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What the command line says, word by word; see the module."""

    table: str | None = None
    figure: str | None = None
    sweep: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    format: str = "markdown"
    out: Path | None = None
    set: str = "Set14"
    scale: int = 4
    pictures: int = 2


def parse_words(words: Sequence[str]) -> ReportOptions:
    """Read `key=value` words.

    Args:
        words: Of the command line. A list is in square brackets with commas between; commas within brackets and quotes
            do not separate: `runs=[ProSRN (2x,4x)=DIR,DIR]`.

    Returns:
        The options.

    Raises:
        ConfigError: If a word has no such form, its key is unknown or given twice, or values do not fit.

    Example:
        >>> parse_words(["table=4", "runs=[a,ProSRN (2x, 4x)=b]"]).runs
        ('a', 'ProSRN (2x, 4x)=b')
    """
    keys = [field.name for field in fields(ReportOptions)]
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise ConfigError(f"A word must be key=value, got {word!r}; the keys are {', '.join(keys)}.")
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.4)
            hint = f"the nearest valid key is {near[0]!r}" if near else f"the keys are {', '.join(keys)}"
            raise ConfigError(f"A word must have a known key, got {key!r}; {hint}.")
        if key in given:
            raise ConfigError(f"`{key}` must be given once, got it twice; put several runs into one runs=[A,B].")
        given[key] = value
    _check(given)
    return ReportOptions(
        table=given.get("table"),
        figure=given.get("figure"),
        sweep=tuple(_split_list(given.get("sweep", ""))),
        runs=tuple(_split_list(given.get("runs", ""))),
        format=given.get("format", "markdown"),
        out=Path(given["out"]).expanduser() if "out" in given else None,
        set=given.get("set", "Set14"),
        scale=int(given.get("scale", "4")),
        pictures=int(given.get("pictures", "2")),
    )


def run(options: ReportOptions) -> str:
    """Make the table, the figure or the page.

    Args:
        options: Which, from what, and where to.

    Returns:
        What to print: the table, or where the file is.

    Raises:
        ConfigError: If the options or the runs do not fit each other.
        DataError: If a run's folder is missing or cannot be read.
        MissingDependencyError: If a figure is asked for and matplotlib is not installed.
        StorageError: If the file cannot be written.
    """
    if options.sweep:
        folders = [Path(word).expanduser() for word in options.sweep]
        page = write_page(folders, options.out, dataset=options.set, scale=options.scale, pictures=options.pictures)
        return f"Page: {page}\n"
    if options.table is None:
        path = options.out or Path(f"figure_{options.figure}.png")
        draw_figure(options.figure or "", options.runs, path, dataset=options.set, scale=options.scale)
        return f"Figure: {path}\n"
    runs = read_runs(options.runs)
    text = render(build_table(options.table, runs, dataset=options.set), options.format)
    if options.table == "5" and any(has_measures(one) for one in runs):
        text += "\n" + render(build_table("detail", runs), options.format)
    if options.out is None:
        return text
    with atomic_path(options.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return f"Table: {options.out}\n"


def _check(given: dict[str, str]) -> None:
    kinds = [key for key in ("table", "figure", "sweep") if key in given]
    if len(kinds) != 1:
        raise ConfigError(
            f"One of table=..., figure=... and sweep=... must be given, got {' and '.join(kinds) or 'none'}; "
            f"tables are {', '.join(TABLES)}, figures {', '.join(FIGURES)}, a sweep is a folder."
        )
    _check_sweep(given)
    for key, allowed in (("table", TABLES), ("figure", FIGURES), ("format", FORMATS)):
        if key in given and given[key] not in allowed:
            raise ConfigError(f"`{key}` must be one of {', '.join(allowed)}, got {given[key]!r}; choose one of them.")
    if "figure" in given and "format" in given:
        raise ConfigError(f"`format` is for tables, got {given['format']!r} with a figure; give out=FILE.pdf instead.")
    if not re.fullmatch("[0-9]+", given.get("scale", "4")):
        raise ConfigError(f"`scale` must be a whole number, got {given['scale']!r}; choose 2, 4 or 8.")


def _check_sweep(given: dict[str, str]) -> None:
    if "sweep" not in given:
        if "pictures" in given:
            raise ConfigError("`pictures` is for sweep=..., got it without; leave it out.")
        return
    if not _split_list(given["sweep"]):
        raise ConfigError("`sweep` must name at least one folder, got []; give sweep=DIR or sweep=[DIR,DIR].")
    for key in ("runs", "format"):
        if key in given:
            raise ConfigError(f"`{key}` does not go with sweep=..., which writes a page of its folders; leave it out.")
    out = given.get("out", "report.html")
    if not out.lower().endswith((".html", ".htm")):
        raise ConfigError(f"`out` must end in .html for a sweep, got {out}; choose another name.")
    if not re.fullmatch("[0-6]", given.get("pictures", "2")):
        raise ConfigError(f"`pictures` must be a whole number from 0 to 6, got {given['pictures']!r}; choose one.")
    if given.get("scale", "4") not in ("2", "4", "8", "16"):
        raise ConfigError(f"`scale` must be 2, 4, 8 or 16 for pictures, got {given['scale']!r}; choose one.")


def _split_list(text: str) -> list[str]:
    """Split `[a, b]` at commas outside of round brackets and quotes; text without square brackets is one item."""
    if not (text.startswith("[") and text.endswith("]")):
        return [text] if text else []
    items, depth, quote = [""], 0, ""
    for sign in text[1:-1]:
        if sign in "\"'" and quote in ("", sign):
            quote = "" if quote else sign
            continue
        depth += (sign == "(") - (sign == ")") if not quote else 0
        if sign == "," and depth == 0 and not quote:
            items.append("")
        else:
            items[-1] += sign
    return [item.strip() for item in items if item.strip()]


def main() -> None:
    """Report as the command line says."""
    words = sys.argv[1:]
    if not words or set(words) & {"-h", "--help"}:
        sys.stdout.write(f"{__doc__}")
        sys.exit(0 if words else 1)
    sys.exit(run_reporting(lambda: sys.stdout.write(run(parse_words(words)))))
