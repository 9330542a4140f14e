"""Which released network a file asks for: that for compressed pictures where the tables of a JPEG say so."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from prosr_lightning import AUTO_MODEL, DEFAULT_MODEL
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.jpeg import quality_of_table
from prosr_lightning.networks import SRNetwork, build_network
from prosr_lightning.networks.weights import load_network, released_names
from prosr_lightning.pictures.reading import Head

RESTORING = "prosrn_jpeg"
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
    return model not in released_names() or load_network(model).degradation is not None


def blended(model: str, share: float) -> SRNetwork:
    """Return a restoring network whose weights are mixed with those of the clean one that it was trained from.

    Args:
        model: Released weights for degraded pictures.
        share: 0 gives the clean network, 1 the restoring one.

    Raises:
        ConfigError: If the share is outside `[0, 1]`, or `model` has no clean network of the same architecture.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"`denoise` must be from 0 (keep all) to 1 (as {model} does), got {share:g}; try 0.5.")
    restoring = load_network(model)
    others = [load_network(name) for name in released_names()] if model in released_names() else []
    architecture = restoring.network.architecture
    clean = [
        other.network
        for other in others
        if other.degradation is None and not other.adversarial and other.network.architecture == architecture
    ]
    if restoring.degradation is None or not clean:
        raise ConfigError(
            f"`denoise` blends a network for degraded pictures, such as {RESTORING}, got {model}; name that or leave "
            "the strength out."
        )
    mixed = build_network(architecture)
    start, end = clean[0].state_dict(), restoring.network.state_dict()
    mixed.load_state_dict({key: torch.lerp(start[key], end[key], share) for key in end})
    return mixed.eval()
