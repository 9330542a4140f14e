"""A table before it is written out, and its renderers: Markdown, LaTeX, CSV and the terminal.

`report/page/page.html.j2` is the one for HTML.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

from rich.table import Table as TerminalTable
from rich.text import Text

from prosr_lightning.errors import require_choice

Mark = Literal["", "best", "second"]


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number as printed, how it is marked, and the letter of its note."""

    text: str
    mark: Mark = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Values with " / " between them, what follows, and smaller lines below, which only a page has room for."""

    values: tuple[Value, ...]
    suffix: str = ""
    below: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " / ".join(value.text for value in self.values) + self.suffix


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading; columns side by side with the same `group` stand under it."""

    title: str
    group: str = ""
    numeric: bool = True

    def __str__(self) -> str:
        return f"{self.group} {self.title}".strip()


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to be rendered.

    Attributes:
        title: "Table 6" and the like.
        caption: What it shows and how the numbers came about.
        columns: The headings.
        blocks: Groups of rows with a rule between them.
        notes: Letter and text of each note.
        records: The same content in long form, one mapping for each line of a CSV file.
    """

    title: str = ""
    caption: str = ""
    columns: tuple[Column, ...]
    blocks: tuple[tuple[tuple[Cell, ...], ...], ...]
    notes: tuple[tuple[str, str], ...] = ()
    records: Sequence[Mapping[str, str]] = field(default_factory=tuple)

    @classmethod
    def of_text(
        cls,
        columns: Sequence[str],
        *blocks: Sequence[Sequence[str]],
        words: int = 1,
        title: str = "",
        caption: str = "",
    ) -> Table:
        """Return a table of plain text, and the same as records, of numbers without the commas between thousands.

        Args:
            columns: The headings.
            blocks: Groups of rows.
            words: How many of the columns, from the left, are not numbers.
            title: See the class.
            caption: See the class.
        """
        return cls(
            title=title,
            caption=caption,
            columns=tuple(Column(title=name, numeric=at >= words) for at, name in enumerate(columns)),
            blocks=tuple(tuple(tuple(map(text_cell, row)) for row in block) for block in blocks),
            records=[
                {name: text if at < words else text.replace(",", "") for at, (name, text) in enumerate(cells)}
                for cells in (zip(columns, row, strict=True) for block in blocks for row in block)
            ],
        )


def text_cell(text: str) -> Cell:
    """Return a cell of plain text."""
    return Cell(values=(Value(text=text),))


def mark_values(numbers: Sequence[float | None]) -> list[Mark]:
    """Mark the best and the second best of a column; larger is better.

    Args:
        numbers: As printed; None for what does not take part.

    Returns:
        A mark for each. Equal numbers are marked alike. One number alone is not the best of anything, and of two the
        lesser is not marked.

    Examples:
        >>> mark_values([37.5, 37.6, None, 37.6, 37.1])
        ['second', 'best', '', 'best', '']
    """
    taking_part = [number for number in numbers if number is not None]
    ranked = sorted(set(taking_part), reverse=True)
    if len(taking_part) < 2:
        return [""] * len(numbers)
    best, second = ranked[0], ranked[1] if len(ranked) > 1 and len(taking_part) > 2 else None
    return [
        "" if number is None else "best" if number == best else "second" if number == second else ""
        for number in numbers
    ]


_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def render(table: Table, style: str = "markdown") -> str:
    """Write a table out.

    Args:
        table: What to write.
        style: One of `FORMATS`. "markdown" and "latex" have the caption and the notes; "csv" is the long form, one line
            for each number or pair of numbers, with all digits.

    Returns:
        The text, ending in a newline.

    Raises:
        ConfigError: If the style is unknown.
    """
    require_choice("format", style, FORMATS)
    return FORMATS[style](table)


def terminal(table: Table) -> TerminalTable:
    """Lay a table out for a terminal."""
    laid_out = TerminalTable(caption=Text(table.caption), caption_justify="left")
    for column in table.columns:
        laid_out.add_column(Text(str(column)), justify="right" if column.numeric else "left")
    for block in table.blocks:
        for row in block:
            laid_out.add_row(*(Text(str(cell)) for cell in row))
        laid_out.add_section()
    return laid_out


def csv_text(records: Sequence[Mapping[str, str]]) -> str:
    """Write mappings as the lines of a CSV file, below their keys."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(dict.fromkeys(key for record in records for key in record)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


def groups(columns: Sequence[Column]) -> list[tuple[str, list[Column]]]:
    """Return each group with its columns, in order; "" for columns without one."""
    return [(name, list(members)) for name, members in groupby(columns, key=lambda column: column.group)]


def fill_in(template: str, **values: object) -> str:
    """Fill in a template of `templates/`, whose signs are `<< >>` and `<% %>`, since LaTeX has the usual ones."""
    from jinja2 import Environment, FileSystemLoader  # noqa: PLC0415  # not needed for the help of a command

    environment = Environment(  # noqa: S701  # Markdown and LaTeX have escapes of their own
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": _escape_markdown, "tex": _escape_latex, "groups": groups}
    return environment.get_template(template).render(values)


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<\[\]])", r"\\\1", text)


def _escape_latex(text: str) -> str:
    return "".join(_LATEX_ESCAPES.get(sign, sign) for sign in text)


FORMATS: dict[str, Callable[[Table], str]] = {
    "markdown": lambda table: fill_in("table.md.j2", table=table),
    "latex": lambda table: fill_in("table.tex.j2", table=table),
    "csv": lambda table: csv_text(table.records) if table.records else "",
}
