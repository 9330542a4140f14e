"""What a run leaves of itself in its folder: its configuration at the begin, its record at the end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config import user_message
from prosr_lightning.config.printing import as_tree
from prosr_lightning.console import answer, exit_code_of_stop
from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.errors import StorageError
from prosr_lightning.imaging.io import write_file
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.networks.contract import count_layers, count_parameters
from prosr_lightning.runs.record import (
    FILE_NAME,
    RunRecord,
    describe_hardware,
    git_commit,
    package_versions,
    write_record,
)
from prosr_lightning.train.callbacks import RunMeter
from prosr_lightning.train.identity import choices_of, identity_of

log = logging.getLogger(__name__)

CONFIG_TREE = "config_tree.txt"


def save_configuration(cfg: DictConfig) -> None:
    """Write `.hydra/config.yaml` and `config_tree.txt`, resolved, and how Hydra composed it; drop an earlier record.

    Raises:
        StorageError: If the place cannot be written.
    """
    folder = Path(cfg.paths.output_dir)
    tree = as_tree(cfg)
    if cfg.print_config:
        answer(tree)
    write_file(folder / CONFIG_TREE, tree)
    texts = {"config.yaml": OmegaConf.to_yaml(cfg, resolve=True)}
    if HydraConfig.initialized():
        hydra = HydraConfig.instance().cfg
        texts["hydra.yaml"] = OmegaConf.to_yaml(hydra)
        texts["overrides.yaml"] = OmegaConf.to_yaml(HydraConfig.get().overrides.task)
    for name, text in texts.items():
        write_file(folder / ".hydra" / name, text)
    (folder / FILE_NAME).unlink(missing_ok=True)


def best_of(trainer: Trainer) -> ModelCheckpoint | None:
    """Return what keeps the best weights, the first of its kind; None without."""
    return cast("ModelCheckpoint | None", trainer.checkpoint_callback)


def best_step(best: ModelCheckpoint | None) -> int | None:
    """Return the update whose weights are the best; None if none were kept."""
    if best is None or not Path(best.best_model_path).is_file():
        return None
    stored = torch.load(best.best_model_path, map_location="cpu", weights_only=True, mmap=True)
    return int(stored["prosr"]["steps_done"])


def keep_record(
    cfg: DictConfig,
    module: LitSuperResolution,
    trainer: Trainer,
    meter: RunMeter,
    *,
    test: Mapping[str, float] | None = None,
    error: BaseException | None = None,
) -> RunRecord:
    """Write what a run came to into its folder, also of one that failed.

    Args:
        cfg: The configuration of the run, derived.
        module: What was trained.
        trainer: Knows the last values of the validation.
        meter: What it took.
        test: The scores of the best weights.
        error: What ended the run before its end.

    Raises:
        StorageError: If a run without another error cannot write it.
    """
    folder, best = Path(cfg.paths.output_dir), best_of(trainer)
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
    val = {key.removeprefix("val/"): value for key, value in metrics.items()}
    score = best.best_model_score if best is not None else metrics.get("val/psnr")
    if score is not None:
        val["best"] = float(score)
    path = Path(best.best_model_path) if best is not None and best.best_model_path else None
    stopped = error is not None and exit_code_of_stop(error) is not None
    generator, identity = module.generator, identity_of(cfg, module)
    record = RunRecord(
        status="finished" if error is None else "stopped" if stopped else "failed",
        name=identity.name,
        tags=identity.tags,
        notes=identity.notes or "",
        overrides=tuple(HydraConfig.get().overrides.task) if HydraConfig.initialized() else (),
        choices=choices_of(),
        command=tuple(sys.argv),
        task=str(cfg.task_name),
        error="" if error is None else user_message(error) or f"{type(error).__name__}: {error}",
        seed=cfg.seed,
        method=module.title or generator.title,
        network=type(generator).__name__,
        architecture=generator.architecture,
        parameters=count_parameters(generator),
        layers=count_layers(generator),
        levels=tuple(module.levels),
        protocol=str(cfg.test.protocol),
        scales=tuple(cfg.test.scales or ()),
        steps=module.steps_done,
        samples=meter.samples,
        seconds=round(meter.seconds, 2),
        cpu_seconds=round(meter.cpu_seconds, 2),
        val=val,
        test=test or {},
        checkpoint="" if path is None else _relative(path, folder),
        best_step=best_step(best),
        hardware=describe_hardware(module.device),
        commit=git_commit(),
        packages=package_versions(),
        config=module.run_config,
        data=_contents(trainer),
    )
    if trainer.is_global_zero:
        try:
            write_record(folder, record)
        except StorageError:
            if error is None:
                raise
            log.warning("The record of this run could not be written to %s", folder)
    return record


def _contents(trainer: Trainer) -> dict[str, Any]:
    datamodule = getattr(trainer, "datamodule", None)
    return datamodule.contents() if isinstance(datamodule, PatchDataModule) else {}


def _relative(path: Path, folder: Path) -> str:
    for root in (folder, folder.resolve()):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return str(path)
