"""The errors a user can cause.

Each message names the subject, what is required of it, the value found and a remedy. Entry points print these messages
without a traceback and exit with a non-zero status; every other exception is a defect and keeps its traceback.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence

_SHOWN = 10


def listing(problems: Sequence[str]) -> str:
    """Return the first ten problems for the end of a message, a line each, and how many more there are."""
    lines = [f"\n  - {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"\n  and {len(problems) - _SHOWN} more")
    return "".join(lines)


class ProSRError(Exception):
    """Base of every error that a user, a file or a machine can cause."""


class ConfigError(ProSRError, ValueError):
    """An argument or a configuration key has a value that is not allowed."""


class DataError(ProSRError):
    """A data set or a folder of images is missing, incomplete or inconsistent."""


class ImageError(DataError):
    """A file cannot be read, or written, as an image."""


class CheckpointError(ProSRError):
    """A checkpoint or a weights file is missing, damaged, unsafe or of another architecture."""


class DownloadError(ProSRError):
    """A download failed, was damaged on the way, or is refused for safety."""


class TrainingError(ProSRError):
    """Training cannot go on, as after a loss that is not finite."""


class StoppedError(TrainingError):
    """The work was stopped by a signal, from the keyboard or from a scheduler.

    Args:
        message: What was stopped, and how to go on with it.
        number: The signal.
    """

    def __init__(self, message: str, *, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # as a shell counts: 130 after Ctrl-C, 143 after SIGTERM


class StorageError(ProSRError, OSError):
    """The disk is full or a path cannot be written."""


class MissingDependencyError(ProSRError, ImportError):
    """An optional package is needed and not installed."""


class OutOfMemoryError(ProSRError, MemoryError):
    """Memory does not hold even the smallest piece of the work."""


def require_choice(name: str, value: object, options: Iterable[str]) -> None:
    """Raise ConfigError unless an argument has one of the values that it may have."""
    allowed = tuple(options)
    if value not in allowed:
        raise ConfigError(f"`{name}` must be one of {', '.join(allowed)}, got {value!r}; choose one of them.")


def require_whole(name: str, value: object, *, least: int = 1, remedy: str = "the default is a good start") -> None:
    """Raise ConfigError unless an argument is a whole number from `least` up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"`{name}` must be a whole number >= {least}, got {value!r}; {remedy}.")


def require_call(subject: str, function: Callable[..., object], *names: str) -> None:
    """Raise ConfigError unless a function can be called with so many arguments by position."""
    try:
        taken = inspect.signature(function)
    except ValueError:  # of what is written in C, which does not tell
        return
    try:
        taken.bind(*names)
    except TypeError as error:
        raise ConfigError(
            f"{subject} must be a function of ({', '.join(names)}), got one of {taken}: {error}; see docs/extending.md."
        ) from error
