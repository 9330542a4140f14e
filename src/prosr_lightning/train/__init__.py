"""Train a super-resolution network: `python -m prosr_lightning.train experiment=prosrn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from prosr_lightning.config import hydra_main
from prosr_lightning.sweep.multirun import run_sweep_job

if TYPE_CHECKING:
    from prosr_lightning.train.task import train as train

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"task": ["train"]})


class RunFolder(Callback):
    """Hydra's callback that sends a run which goes on into its own folder, before Hydra makes another."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401  # Hydra's signature
        """Find the checkpoint that `ckpt_path` means, and the folder."""
        if config.get("ckpt_path") is not None:
            from prosr_lightning.train.resuming import enter_folder  # noqa: PLC0415  # imports torch

            enter_folder(config)


@hydra_main("train", sweep_job=run_sweep_job)
def main(cfg: DictConfig) -> float | None:
    """Train as the command line says."""
    from prosr_lightning.train.task import run  # noqa: PLC0415  # imports torch and lightning, which take seconds

    return run(cfg)
