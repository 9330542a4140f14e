from __future__ import annotations

import os
import subprocess
import sys

import pytest

from prosr_lightning.console import answer, progress_bar, progress_bars, run_reporting
from prosr_lightning.errors import StoppedError


def test_an_answer_is_printed_as_it_is(capsys):
    line = "[red]/pictures/:smile:/a [b].png " + 40 * "long "
    answer(line)
    assert capsys.readouterr() == (f"{line}\n", "")


def test_without_a_terminal_a_line_stands_at_every_tenth(capsys):
    with progress_bars(lines=True) as show:
        for done in range(1, 101):
            show("a.zip", done, 100, f"{done} of 100")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert (lines[0], lines[-1]) == ("a.zip: 10 of 100", "a.zip: 100 of 100")
    with progress_bar("Scoring") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_stop_says_what_is_kept_and_has_the_code_of_a_shell(capsys):
    def stopped() -> None:
        raise StoppedError("Interrupted. All is kept.", number=2)

    assert run_reporting(stopped) == 130
    assert capsys.readouterr().err == "error: Interrupted. All is kept.\n"


_UNDER_A_BAR = """
from prosr_lightning.console import answer, progress_bar
with progress_bar("Scoring") as advance:
    advance(1, 2)
    answer("a result")
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo terminal")
def test_what_is_answered_under_a_bar_goes_into_the_file_not_to_the_terminal():
    terminal, end = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_A_BAR], stdout=subprocess.PIPE, stderr=end, text=True, timeout=60, check=True
    )
    os.close(end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert done.stdout == "a result\n"
    assert "Scoring" in shown
    assert "1/2" in shown
    assert "a result" not in shown
