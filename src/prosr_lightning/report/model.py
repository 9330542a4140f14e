"""A table before it is Markdown, LaTeX or CSV: plain text, marks and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Mark = Literal["", "best", "second"]


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number as printed, how it is marked, and the letter of its note."""

    text: str
    mark: Mark = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Values with " / " between them, and what follows."""

    values: tuple[Value, ...]
    suffix: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading; columns side by side with the same `group` stand under it."""

    title: str
    group: str = ""
    numeric: bool = True


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

    title: str
    caption: str
    columns: tuple[Column, ...]
    blocks: tuple[tuple[tuple[Cell, ...], ...], ...]
    notes: tuple[tuple[str, str], ...] = ()
    records: Sequence[dict[str, str]] = field(default_factory=tuple)


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

    Example:
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
