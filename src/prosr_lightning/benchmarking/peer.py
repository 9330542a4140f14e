"""Enlarging beside another program: LapSRN of OpenCV's dnn_superres, at 4x."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from prosr_lightning.benchmarking.comparing import Comparison, Section, compare
from prosr_lightning.errors import ConfigError
from prosr_lightning.upscaler import Upscaler

_NAME = "OpenCV dnn_superres"
_SCALE = 4


def measure_beside_opencv(
    network: nn.Module, device: torch.device, *, model: Path | None, rounds: int, section: Section
) -> None:
    """Compare output pixels per second of a colour picture at 4x.

    Args:
        network: A 2x network.
        device: Where ours runs; OpenCV's is on the CPU, with as many threads as PyTorch.
        model: `LapSRN_x4.pb`; None skips the comparison.
        rounds: How often each is measured, in turns.
        section: Takes the comparison, or the reason why there is none.

    Raises:
        ConfigError: If OpenCV cannot read the model.
    """
    peer = _open(model, section)
    if peer is None:
        return
    upscaler = Upscaler.from_network(network, device=device)
    picture = np.random.default_rng(0).integers(0, 256, (180, 240, 3), dtype=np.uint8)
    pixels = float(picture.shape[0] * picture.shape[1] * _SCALE**2)

    def ours() -> float:
        upscaler.upscale(picture, _SCALE)
        return pixels

    def theirs() -> float:
        peer.upsample(picture)
        return pixels

    rates = compare({"ours": ours, "theirs": theirs}, rounds=rounds)
    section.comparisons.append(
        Comparison(
            name="4x over OpenCV dnn_superres LapSRN",
            unit="output pixels/s",
            measured=rates["ours"],
            against=rates["theirs"],
            goal=1.0,
        )
    )


def _open(model: Path | None, section: Section) -> Any:  # noqa: ANN401  # OpenCV ships no types for it
    if model is None:
        section.skipped[_NAME] = "its model must be given: --opencv-model LapSRN_x4.pb"
        return None
    try:
        import cv2  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # for the comparison alone

        cv2.setNumThreads(torch.get_num_threads())
        peer = cv2.dnn_superres.DnnSuperResImpl_create()
    except (ImportError, AttributeError) as error:
        section.skipped[_NAME] = f"pip install opencv-contrib-python-headless ({error})"
        return None
    try:
        peer.readModel(str(model))
        peer.setModel("lapsrn", _SCALE)
    except Exception as error:  # cv2.error has no stable class
        reason = " ".join(str(error).split())
        raise ConfigError(f"--opencv-model must be a LapSRN_x4.pb, got {model}: {reason}; choose another.") from error
    return peer
