"""From the first to the last word of a run to its logger."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch.loggers import Logger, MLFlowLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.runs.record import RunRecord
from prosr_lightning.tracking.values import describe_network, summary_of
from prosr_lightning.tracking.weights_and_biases import Identity, WeightsAndBiases

log = logging.getLogger(__name__)


def begin(logger: Logger, module: LitSuperResolution, identity: Identity, *, resume_from: str | None) -> None:
    """Log what is known before the training: the resolved configuration, and size and levels of the network.

    Args:
        logger: Of any kind. A run of Weights & Biases begins, or goes on where the checkpoint comes from one.
        module: With its `run_config`; the id of the run is put there, and so into each checkpoint.
        identity: What the run is called.
        resume_from: The checkpoint that the training goes on from.
    """
    if isinstance(logger, WeightsAndBiases):
        logger.describe(identity, continued=None if resume_from is None else _tracked_run(resume_from))
        logger.steps = lambda: module.steps_done
        logger.watch_network(module.generator)
    network = describe_network(module.generator, module.levels)
    logger.log_hyperparams({**module.run_config, "network": network})
    if isinstance(logger, WeightsAndBiases):
        module.run_config["tracked"] = logger.version
    elif isinstance(logger, MLFlowLogger):
        _tag(logger, identity)


@rank_zero_only
def _tag(logger: MLFlowLogger, identity: Identity) -> None:
    """Call a run of MLflow what it is, unless the configuration does."""
    tags = {"group": identity.group, "tags": ", ".join(identity.tags), "mlflow.note.content": identity.notes}
    tags |= {"mlflow.runName": identity.name} if logger._run_name is None else {}
    for key, value in tags.items():
        if value:
            logger.experiment.set_tag(logger.run_id, key, value)


def summarise(logger: Logger | None, record: RunRecord, folder: Path) -> None:
    """Log what a run came to, and its best checkpoint where that was asked for.

    Args:
        logger: Only Weights & Biases has a place for it.
        record: What the run came to.
        folder: The run folder, which `record.checkpoint` is relative to.
    """
    if not isinstance(logger, WeightsAndBiases):
        return
    summary = summary_of(record)
    logger.log_summary(summary)
    if logger.wants_model and record.status == "finished" and record.checkpoint:
        metadata = {**summary, "levels": list(record.levels), "steps": record.steps, "version": record.version}
        logger.log_checkpoint(folder / record.checkpoint, description=record.name, metadata=metadata)


@contextmanager
def finished() -> Iterator[None]:
    """End the run of Weights & Biases with the block, as failed where that fails.

    A run that is not ended takes in the next job of a sweep.
    """
    code = 1
    try:
        yield
        code = 0
    finally:
        if (wandb := sys.modules.get("wandb")) is not None:
            try:
                wandb.finish(exit_code=code)
            except OSError as error:
                log.warning("The run of Weights & Biases could not be ended: %r", error)


def _tracked_run(checkpoint: str) -> str | None:
    """Return the id of the run that a checkpoint comes from, if there was one."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    config = stored.get("prosr", {}).get("config", {})
    logger = config.get("logger")
    run = config.get("tracked") or (logger.get("id") if isinstance(logger, dict) else None)  # until 2.0 at the logger
    return None if run is None else str(run)
