"""Scoring by the protocols of the published tables: a library; `evaluate.py` is its command."""

from __future__ import annotations

from prosr_lightning.evaluation.protocol import PAPER, STANDARD, Protocol, get_protocol
from prosr_lightning.evaluation.results import ImageScore, RunInfo, SummaryRow, summarise, write_results
from prosr_lightning.evaluation.running import DEFAULT_TILE, Progress, evaluate_folder, evaluate_network

__all__ = [
    "DEFAULT_TILE",
    "PAPER",
    "STANDARD",
    "ImageScore",
    "Progress",
    "Protocol",
    "RunInfo",
    "SummaryRow",
    "evaluate_folder",
    "evaluate_network",
    "get_protocol",
    "summarise",
    "write_results",
]
