"""The weights that ship inside the package: their names, their files, and what these say of the training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prosr_lightning.errors import CheckpointError

RELEASED_FOLDER = Path(__file__).parent
HEADER_KEY = "prosr"  # of the one text in a weights file
RESTORING = "prosrn_jpeg"  # made for compressed pictures
_SUFFIXES = (".safetensors", ".onnx")  # the package has the first, the light distribution the second


def released_names() -> tuple[str, ...]:
    """Return the names of the weights that ship inside the package, sorted."""
    return tuple(sorted({path.stem for path in RELEASED_FOLDER.iterdir() if path.suffix in _SUFFIXES}))


def released_file(name: str) -> Path:
    """Return the file of released weights."""
    files = (RELEASED_FOLDER / f"{name}{suffix}" for suffix in _SUFFIXES)
    return next(file for file in files if file.is_file())


def find_weights(source: str | Path) -> Path:
    """Return the file of released weights or the one that a path names.

    Raises:
        CheckpointError: If there is neither.
    """
    path, names = Path(source).expanduser(), released_names()
    if isinstance(source, str) and source in names:
        return released_file(source)
    if os.path.isfile(path):  # False too where a name is too long to ask
        return path
    if os.path.isdir(path):
        raise CheckpointError(f"{path} must be a weights file, got a folder; name the file inside it.")
    if not path.suffix and path.name == str(source):
        listed = ", ".join(names) or "none in this installation"
        raise CheckpointError(
            f"{source!r} must be released weights or a file; released: {listed}. Give a path to others."
        )
    raise CheckpointError(f"{path} must be a weights file, found nothing there; check the path.")


def released_header(name: str) -> dict[str, Any]:
    """Return the header of released weights, of which nothing else is read; of `.safetensors` alone."""
    with released_file(name).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return dict(json.loads(json.loads(file.read(length))["__metadata__"][HEADER_KEY]))


def is_adversarial(header: Mapping[str, Any]) -> bool:
    """Tell whether released weights were trained against a discriminator."""
    return "discriminator" in header.get("recipe", {}).get("model", {})


def degradation_of(header: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what released weights undo, as `conf/degradation` names it; None for bicubic shrinking alone."""
    node = header.get("recipe", {}).get("degradation")
    return None if node is None or node["_target_"].endswith(".Bicubic") else node
