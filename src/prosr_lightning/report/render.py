"""Tables as Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from itertools import groupby

from prosr_lightning.errors import ConfigError
from prosr_lightning.report.model import Cell, Column, Table, Value

FORMATS = ("markdown", "latex", "csv")

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
    writers: dict[str, Callable[[Table], str]] = {"markdown": _markdown, "latex": _latex, "csv": _csv}
    if style not in writers:
        raise ConfigError(f"`format` must be one of {', '.join(FORMATS)}, got {style!r}; choose one of them.")
    return writers[style](table)


def _markdown(table: Table) -> str:
    titles = [_escape_markdown(f"{column.group} {column.title}".strip()) for column in table.columns]
    lines = [f"**{table.title}.** {_escape_markdown(table.caption)}", "", _markdown_row(titles)]
    lines.append(_markdown_row(["---:" if column.numeric else "---" for column in table.columns]))
    lines += [_markdown_row([_markdown_cell(cell) for cell in row]) for block in table.blocks for row in block]
    for letter, note in table.notes:
        lines += ["", f"<sup>{letter}</sup> {_escape_markdown(note)}"]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    return " / ".join(map(_markdown_value, cell.values)) + _escape_markdown(cell.suffix)


def _markdown_value(value: Value) -> str:
    text = _escape_markdown(value.text)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(value.mark, text)
    return f"{text}<sup>{value.note}</sup>" if value.note else text


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<\[\]])", r"\\\1", text)


def _latex(table: Table) -> str:
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{_escape_latex(f'{table.title}. {table.caption}')}}}",  # LaTeX numbers tables itself
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *_latex_head(table.columns),
    ]
    for block in table.blocks:
        lines.append(r"\midrule")
        lines += [" & ".join(map(_latex_cell, row)) + r" \\" for row in block]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [
        rf"\\ {{\footnotesize \textsuperscript{{{letter}}} {_escape_latex(note)}}}" for letter, note in table.notes
    ]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def _latex_head(columns: tuple[Column, ...]) -> list[str]:
    titles = " & ".join(_escape_latex(column.title) for column in columns) + r" \\"
    if not any(column.group for column in columns):
        return [titles]
    heads, rules, first = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        count = len(list(members))
        heads.append(rf"\multicolumn{{{count}}}{{c}}{{{_escape_latex(group)}}}" if group else " & ".join([""] * count))
        if group:
            rules.append(rf"\cmidrule(lr){{{first}-{first + count - 1}}}")
        first += count
    return [" & ".join(heads) + r" \\", "".join(rules), titles]


def _latex_cell(cell: Cell) -> str:
    return " / ".join(map(_latex_value, cell.values)) + _escape_latex(cell.suffix)


def _latex_value(value: Value) -> str:
    text = _escape_latex(value.text)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(value.mark, text)
    return rf"{text}\textsuperscript{{{value.note}}}" if value.note else text


def _escape_latex(text: str) -> str:
    return "".join(_LATEX_ESCAPES.get(sign, sign) for sign in text)


def _csv(table: Table) -> str:
    if not table.records:
        return ""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(table.records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return file.getvalue()
