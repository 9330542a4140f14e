"""Scores stand beside each other only if they were made alike."""

from __future__ import annotations

from collections.abc import Sequence

from prosr_lightning.errors import ConfigError
from prosr_lightning.metrics.protocol import PAPER, ScoringProtocol
from prosr_lightning.runs.scored import Run


def common_protocol(runs: Sequence[Run]) -> ScoringProtocol:
    """Return the protocol that all runs were scored by; `PAPER` for no runs.

    Raises:
        ConfigError: If two runs differ in protocol or in where their LR images come from.
    """
    for run in runs:
        for key, mine, first in (
            ("protocol", run.info.protocol.describe(), runs[0].info.protocol.describe()),
            ("bicubic rounding", run.info.protocol.bicubic_rounding, runs[0].info.protocol.bicubic_rounding),
            ("LR images", run.info.lr_images or "bicubic ones", runs[0].info.lr_images or "bicubic ones"),
        ):
            if mine != first:
                raise ConfigError(
                    f"The runs of one table or figure must have the same {key}, got {first!r} in {runs[0].folder} and "
                    f"{mine!r} in {run.folder}; score one of them again, or report them apart."
                )
    return runs[0].info.protocol if runs else PAPER


def describe_protocol(runs: Sequence[Run]) -> str:
    """Return what a caption says of how our numbers came about."""
    if not runs:
        return "No run of ours was given"
    text = common_protocol(runs).describe_both(runs[0].info.lr_images)
    return text[0].upper() + text[1:]
