"""Score bicubic, a network or pictures: `python -m prosr_lightning.evaluate method=bicubic benchmarks=[Set5]`."""

from __future__ import annotations

from omegaconf import DictConfig

from prosr_lightning.config import hydra_main


@hydra_main("evaluate")
def main(cfg: DictConfig) -> None:
    """Score as the command line says, and print the table."""
    from prosr_lightning.evaluate.task import evaluate  # noqa: PLC0415  # imports torch, which takes seconds

    evaluate(cfg)
