from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from prosr_lightning.tables import Cell, Column, Table, Value, csv_text, mark_values, render, terminal, text_cell


@pytest.mark.parametrize(
    ("numbers", "marks"),
    [
        ([1.0, 3.0, 2.0], ["", "best", "second"]),
        ([3.0, 3.0, 2.0, 1.0], ["best", "best", "second", ""]),
        ([3.0, 2.0, 2.0], ["best", "second", "second"]),
        ([None, 2.0, 1.0], ["", "best", ""]),  # of two, the lesser is nothing
        ([2.0, 2.0, 2.0], ["best", "best", "best"]),
        ([2.0, None], ["", ""]),
        ([], []),
    ],
)
def test_marks(numbers: list[float | None], marks: list[str]):
    assert mark_values(numbers) == marks


def test_latex_escapes_and_marks():
    cells = (
        text_cell(r"a_b & 50% #1 {x} $ ~ ^ \ <"),
        Cell(values=(Value(text="1.00", mark="best"), Value(text="0.5", mark="second", note="a")), suffix=" (+1)"),
    )
    columns = (Column(title="M", numeric=False), Column(title="p", group="S_1"))
    table = Table(title="T", caption="50%", columns=columns, blocks=((cells,), (cells,)), notes=(("a", "n_1"),))
    text = render(table, "latex")
    name = r"a\_b \& 50\% \#1 \{x\} \$ \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{}"
    assert rf"{name} & \textbf{{1.00}} / \underline{{0.5}}\textsuperscript{{a}} (+1) \\" in text
    assert r"\caption{T. 50\%}" in text
    assert r" & \multicolumn{1}{c}{S\_1} \\" in text
    assert r"\textsuperscript{a} n\_1" in text
    assert text.count(r"\midrule") == 2
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_markdown_without_a_title_is_the_table_alone():
    table = Table.of_text(("set", "scale", "a|b"), [("Set5", "2x", "1 / 2")])
    assert render(table) == "| set | scale | a\\|b |\n| --- | ---: | ---: |\n| Set5 | 2x | 1 / 2 |\n"


def test_the_terminal_shows_text_as_it_is():
    columns = (Column(title="M", numeric=False), Column(title="ours", group="Set5"))
    cells = (text_cell("'x[y]' [bold]"), Cell(values=(Value(text="1.00"), Value(text="0.5")), suffix=" (+1)"))
    console = Console(file=StringIO(), width=60)
    console.print(terminal(Table(caption="all [of] it", columns=columns, blocks=((cells,),))))
    shown = console.file.getvalue()
    for words in ("'x[y]' [bold]", "1.00 / 0.5 (+1)", "Set5 ours", "all [of] it"):
        assert words in shown


def test_csv_has_every_key_once_and_nothing_where_it_is_missing():
    assert csv_text([{"a": "1"}, {"a": 'x,"y', "b": "2"}]) == 'a,b\n1,\n"x,""y",2\n'
