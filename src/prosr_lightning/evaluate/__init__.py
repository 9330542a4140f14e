"""Score bicubic, a network or pictures: `python -m prosr_lightning.evaluate method=bicubic benchmarks=[Set5]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader
from omegaconf import DictConfig

from prosr_lightning.config import hydra_main

if TYPE_CHECKING:
    from prosr_lightning.evaluate.task import EvaluateOptions as EvaluateOptions
    from prosr_lightning.evaluate.task import results_table as results_table
    from prosr_lightning.evaluate.task import run as run

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"task": ["EvaluateOptions", "results_table", "run"]}
)


@hydra_main("evaluate")
def main(cfg: DictConfig) -> None:
    """Score as the command line says, and print the table."""
    from prosr_lightning.evaluate.task import evaluate  # noqa: PLC0415  # imports torch, which takes seconds

    evaluate(cfg)
