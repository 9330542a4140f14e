"""Which released network a file asks for: that for compressed pictures where the tables of a JPEG say so."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from prosr_lightning import AUTO_MODEL, DEFAULT_MODEL
from prosr_lightning.imaging.quantisation import quality_of_table
from prosr_lightning.pictures.reading import Head
from prosr_lightning.released import RESTORING, degradation_of, released_file, released_header, released_names
from prosr_lightning.upscale.runtimes import restores

_COMPRESSED = 90  # below this quality `auto` takes the restoring network
_VISIBLE = 75  # below this the blocks are seen, and other networks sharpen them


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A network for a file.

    Attributes:
        model: Its name or file.
        reason: What of the file decided; empty if nothing did.
        caution: What the network was not made for; empty if it was.
    """

    model: str
    reason: str = ""
    caution: str = ""


def choose_model(path: Path, head: Head, model: str = AUTO_MODEL) -> Choice:
    """Choose the network for a file.

    Args:
        path: The picture, for messages.
        head: What its head tells.
        model: What the user asked for: "auto", or a name or file, which is taken.
    """
    quality = jpeg_quality(head)
    kind = "" if quality is None else f"a JPEG of quality {quality}"
    if model == AUTO_MODEL:
        restoring = quality is not None and quality < _COMPRESSED and RESTORING in released_names()
        model = RESTORING if restoring else DEFAULT_MODEL
    if quality is None or quality >= _VISIBLE or _undoes_more(model):
        return Choice(model=model, reason=kind)
    remedy = f"; -n {RESTORING} was made for it" if RESTORING in released_names() else ""
    return Choice(
        model=model,
        reason=kind,
        caution=f"{path} is {kind}, and {model} was trained on clean pictures: it sharpens blocks and ringing{remedy}.",
    )


def jpeg_quality(head: Head) -> int | None:
    """Return the quality of a JPEG file as libjpeg counts it, by its quantisation table; None for other files."""
    return None if head.luma_table is None else quality_of_table(head.luma_table)


@functools.cache
def _undoes_more(model: str) -> bool:
    """Whether a network was trained on degraded pictures, or is not ours to know."""
    if model not in released_names():
        return True
    file = released_file(model)
    return restores(file) if file.suffix == ".onnx" else degradation_of(released_header(model)) is not None
