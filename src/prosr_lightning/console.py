"""What entry points say: results, errors in one line, and how far they are."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from prosr_lightning.errors import ProSRError, StoppedError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_LINE_EVERY = 0.1
_PLACE_ERRORS = (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError)


def say(text: str) -> None:
    """Tell the user of a command something, on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # the commands' one way to speak


def answer(result: RenderableType) -> None:
    """Print a result of a command, a line or a table, on standard output."""
    Console(highlight=False, markup=False, emoji=False).print(result, soft_wrap=isinstance(result, str))


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and those that it came from, the last first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def exit_code_of_stop(error: BaseException) -> int | None:
    """Return 130 or 143 if an error comes from Ctrl-C or SIGTERM; None if it does not."""
    for cause in causes(error):
        if isinstance(cause, StoppedError):
            return cause.exit_code
        if isinstance(cause, KeyboardInterrupt):
            return 130
    return None


def explain(error: BaseException) -> str | None:
    """Return what to tell the user about an error that is theirs to mend, or None if it is a defect."""
    chain = causes(error)
    for cause in chain:
        if isinstance(cause, ProSRError):
            return str(cause)
    for cause in chain:
        if not isinstance(cause, OSError):
            continue
        if cause.errno in _NO_ROOM:
            where = f" at {cause.filename}" if cause.filename else ""
            return (
                f"The disk must have room to write to{where}, got: {cause.strerror}; free space or set paths.log_dir."
            )
        if cause.filename is not None and _concerns_a_place(cause):
            return (
                f"{cause.filename} cannot be used: {cause.strerror}; choose another place, such as paths.log_dir=DIR."
            )
    return None


def run_reporting(command: Callable[[], object], explanation: Callable[[BaseException], str | None] = explain) -> int:
    """Run a command and report what its user can mend in one line, without a traceback.

    Args:
        command: Takes nothing; what it returns is ignored.
        explanation: Returns what to say of an error, None of a defect.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        command()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        stopped = exit_code_of_stop(error)  # Lightning turns a second Ctrl-C into SystemExit
        if stopped is None and isinstance(error, SystemExit):
            raise
        message = explanation(error)
        if message is None and stopped is None:
            raise
        say(f"error: {message or 'stopped by Ctrl-C.'}")
        return 1 if stopped is None else stopped
    return 0


def _concerns_a_place(error: OSError) -> bool:
    """Tell whether a folder could not be made or used, rather than that some file is missing by our fault."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    made = frame is not None and frame.tb_frame.f_code.co_name in ("mkdir", "makedirs")
    return made or isinstance(error, _PLACE_ERRORS)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add `--trust CLASS`, repeatable, to a command that reads weights files; see `weights.load_network`."""
    meaning = "a network of your own that a weights file may ask for; repeat it for several"
    parser.add_argument("--trust", action="append", default=[], metavar="CLASS", help=meaning)


@contextmanager
def progress_bar(title: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with count and remaining time on standard error; nothing where that is not a terminal.

    Args:
        title: What is being done.
        shown: False shows nothing, as on all devices but the first.

    Yields:
        A function to call with (done, total).
    """
    with progress_bars(shown=shown) as show:
        yield lambda done, total: show(title, done, total, f"{done}/{total}")


@contextmanager
def progress_bars(
    *, shown: bool = True, lines: bool = False
) -> Iterator[Callable[[str, float, float | None, str], None]]:
    """Show a bar for each of several things on standard error, where that is a terminal.

    Args:
        shown: False shows nothing.
        lines: Where it is no terminal, answer with a line at every tenth instead.

    Yields:
        A function to call with what is being done, how much of it is, the total if that is known, and both in words.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[amount]}"))
    bars: dict[str, TaskID] = {}
    told: dict[str, float] = {}

    def show(title: str, done: float, total: float | None, amount: str) -> None:
        if console.is_terminal:
            if title not in bars:
                bars[title] = progress.add_task(title, amount=amount)
            progress.update(bars[title], completed=done, total=total, amount=amount)
        elif lines:
            reached = done / (total or 1e9)  # of bytes whose number is not known: a line at every 100 MB
            last = told.get(title, 0.0)
            if done == total or reached < last or reached >= last + _LINE_EVERY:
                told[title] = reached
                answer(f"{title}: {amount}")

    with Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
        # or what a command answers goes to the terminal, not into its file; None if it was closed
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    ) as progress:
        yield show
