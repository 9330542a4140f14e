"""Train a super-resolution network: `python -m prosr_lightning.train experiment=prosrn`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, flag_override

from prosr_lightning.config import hydra_main, ranks
from prosr_lightning.sweep.multirun import run_sweep_job

if TYPE_CHECKING:
    from prosr_lightning.train.task import quiet as quiet
    from prosr_lightning.train.task import train as train

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"task": ["quiet", "train"]})


class RunFolder(Callback):
    """Hydra's callback that chooses the folder of a run, before Hydra makes one; a run that goes on has its own.

    All processes of a run have the same, also where `torchrun` or `srun` started them.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401  # Hydra's signature
        """Find the checkpoint that `ckpt_path` means, and the folder."""
        if "LOCAL_RANK" in os.environ and ranks.started_processes() == 1:
            return  # Lightning started it, and told it both

        def choose() -> list[str]:
            if config.get("ckpt_path") is not None:
                from prosr_lightning.train.resuming import enter_folder  # noqa: PLC0415  # imports torch

                enter_folder(config)
            return [config.hydra.run.dir, "" if config.get("ckpt_path") is None else str(config.ckpt_path)]

        fixed = any(word.startswith("hydra.run.dir=") for word in config.hydra.overrides.hydra)
        with flag_override(config, ["struct", "readonly"], [False, False]):
            if not fixed:
                config.hydra.run.dir = str(ranks.common_folder(Path(config.hydra.run.dir)))
            config.hydra.run.dir, checkpoint = ranks.told_by_the_first(choose)
            config.ckpt_path = checkpoint or None


@hydra_main("train", sweep_job=run_sweep_job)
def main(cfg: DictConfig) -> float | None:
    """Train as the command line says."""
    from prosr_lightning.train.task import run  # noqa: PLC0415  # imports torch and lightning, which take seconds

    return run(cfg)
