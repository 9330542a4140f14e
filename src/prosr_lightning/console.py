"""What entry points say: errors in one line, and how far they are."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from prosr_lightning.errors import ProSRError, StoppedError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_PLACE_ERRORS = (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError)


def say(text: str) -> None:
    """Tell the user of a command something, on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # the commands' one way to speak


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and those that it came from, the last first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def exit_code_of_stop(error: BaseException) -> int | None:
    """Return 130 or 143 if an error comes from Ctrl-C or SIGTERM; None if it does not."""
    for one in causes(error):
        if isinstance(one, StoppedError):
            return one.exit_code
        if isinstance(one, KeyboardInterrupt):
            return 130
    return None


def explain(error: BaseException) -> str | None:
    """Return what to tell the user about an error that is theirs to mend, or None if it is a defect."""
    chain = causes(error)
    for one in chain:
        if isinstance(one, ProSRError):
            return str(one)
    for one in chain:
        if not isinstance(one, OSError):
            continue
        if one.errno in _NO_ROOM:
            where = f" at {one.filename}" if one.filename else ""
            return f"The disk must have room to write to{where}, got: {one.strerror}; free space or set paths.log_dir."
        if one.filename is not None and _concerns_a_place(one):
            return f"{one.filename} cannot be used: {one.strerror}; choose another place, such as paths.log_dir=DIR."
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


@contextmanager
def progress_bar(title: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with count and remaining time on standard error; nothing where that is not a terminal.

    Args:
        title: What is being done.
        shown: False shows nothing, as on all devices but the first.

    Yields:
        A function to call with (done, total).
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
