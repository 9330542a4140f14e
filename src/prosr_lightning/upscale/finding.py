"""The pictures that the words of a command name."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import IMAGE_SUFFIXES
from prosr_lightning.pictures.formats import FORMATS

# What we look for in a folder; a file that is named is opened whatever its suffix
CANDIDATE_SUFFIXES = (
    IMAGE_SUFFIXES
    | FORMATS.keys()
    | {".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpx", ".jfif", ".jpe", ".mpo", ".apng", ".tga", ".pnm", ".pbm"}
)


def root_of(text: str) -> Path:
    """Return the folder below which the pictures of an input lie."""
    path = Path(os.path.expanduser(text))
    if path.is_dir():
        return path
    while glob.has_magic(str(path)) and not os.path.lexists(path):
        path = path.parent
    return path if path.is_dir() else path.parent


def find_pictures(text: str, output: Path | None, passed_over: Counter[str], *, recursive: bool) -> Iterator[Path]:
    """Yield each picture of one input.

    Args:
        text: A file, a folder or a pattern.
        output: A folder whose pictures are results, not inputs.
        passed_over: Counts files of folders that are no pictures, by kind.
        recursive: Look into folders below folders.

    Raises:
        ImageError: If there is nothing of the kind, or a folder cannot be looked into.
    """
    if not text:
        raise ImageError("--input must name files, folders or patterns, got an empty text; . is the folder you are in.")
    path = Path(os.path.expanduser(text))
    if os.path.isdir(path):
        pictures = list(_in_folder(path, output, passed_over, recursive=recursive))
        if not pictures:
            hint = "check the folder" if recursive else "look below it with -r"
            raise ImageError(f"{path} must hold pictures, found none; {hint}.")
        yield from pictures
    elif os.path.lexists(path):
        yield path
    elif glob.has_magic(text):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise ImageError(f"{text} must match pictures, found none; check the pattern.")
        for match in matches:
            if Path(match).is_dir():
                yield from find_pictures(match, output, passed_over, recursive=recursive) if recursive else ()
            else:
                yield Path(match)
    else:
        raise ImageError(f"{path} must be an image file or a folder, found nothing there; check the path.")


def _in_folder(folder: Path, output: Path | None, passed_over: Counter[str], *, recursive: bool) -> Iterator[Path]:
    """Yield the pictures of a folder in order, each real folder once, whatever links point to it."""
    seen: set[str] = {os.path.realpath(output)} if output is not None else set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real in seen and current != folder:
            continue
        seen.add(real)
        try:
            entries = sorted(current.iterdir())
        except OSError as error:
            raise ImageError(f"{current} cannot be looked into: {error.strerror}; check its permissions.") from error
        folders = [entry for entry in entries if entry.is_dir()]
        for entry in entries:
            if entry in folders or entry.name.startswith("."):
                continue
            if entry.suffix.lower() not in CANDIDATE_SUFFIXES:
                passed_over[entry.suffix.lower() or "no suffix"] += 1
            else:
                yield entry
        if recursive:
            waiting.extend(reversed(folders))
