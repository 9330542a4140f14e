"""`-` as a picture on standard input or output."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from prosr_lightning.errors import ConfigError, StorageError

PIPE = "-"


@contextmanager
def piped(
    inputs: Sequence[str], output: Path | None, extension: str
) -> Iterator[tuple[list[str], Path | None, Callable[[str], str]]]:
    """Put what comes through a pipe into a file, and the file of the result onto standard output in the end.

    Args:
        inputs: Files, folders and patterns; "-" is standard input.
        output: A file or a folder; "-" is standard output.
        extension: Of the result there, "auto" and "same" stand for PNG.

    Yields:
        Inputs and output as files, and what puts "standard input" and "standard output" for them in a message.

    Raises:
        ConfigError: If a picture comes through a pipe and nothing says where it goes, or there are others beside it.
        StorageError: If the reader of standard output went away, or it is a file and the disk is full.
    """
    closed = [name for name, wanted in (("input", PIPE in inputs), ("output", output == Path(PIPE))) if wanted]
    closed = [name for name in closed if getattr(sys, f"std{name[:-3]}") is None]
    if closed:
        raise ConfigError(f"Standard {closed[0]} must be open for -, got a closed one; name a file instead.")
    if PIPE in inputs and len(inputs) > 1:
        raise ConfigError(f"Standard input must be the only picture, got {len(inputs)} inputs; run - alone.")
    if PIPE in inputs and output is None:
        raise ConfigError("--output must say where a picture from standard input goes, got none; -o - writes it out.")
    with tempfile.TemporaryDirectory(prefix="prosr-") as folder:
        source = Path(folder) / "stdin"
        if PIPE in inputs:
            source.write_bytes(sys.stdin.buffer.read())
        ending = "png" if extension in ("auto", "same") else extension
        target = Path(folder) / f"stdout.{ending}" if output == Path(PIPE) else output
        places = re.compile(rf"{re.escape(str(source.parent))}[/\\]\.?std(in|out)\b[.\w]*")
        named = partial(places.sub, r"standard \1put")
        yield [str(source) if text == PIPE else text for text in inputs], target, named
        if output == Path(PIPE) and target is not None and target.is_file():
            try:
                with target.open("rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            except BrokenPipeError as error:
                raise StorageError("Standard output must be read to its end, but its reader went away.") from error
            except OSError as error:
                reason = f"Standard output cannot be written: {error.strerror}; free space or write to another place."
                raise StorageError(reason) from error
