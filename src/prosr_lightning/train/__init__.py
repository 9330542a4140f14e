"""Train a super-resolution network: `python -m prosr_lightning.train experiment=prosrn`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from prosr_lightning import tracking
from prosr_lightning.config import hydra_main, user_message
from prosr_lightning.console import progress_bar
from prosr_lightning.data.benchmarks import NUM_IMAGES, Benchmark, canonical_name, find_dataset
from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.errors import DataError, StorageError
from prosr_lightning.evaluate.after_training import score_run
from prosr_lightning.imaging.degradation import Degradation
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.metrics.protocol import get_protocol
from prosr_lightning.networks.contract import count_layers, count_parameters
from prosr_lightning.networks.weights import load_network
from prosr_lightning.runs.record import RunRecord, describe_hardware, write_record
from prosr_lightning.runs.scores import summarise
from prosr_lightning.sweep.multirun import run_sweep_job
from prosr_lightning.train.callbacks import RunMeter
from prosr_lightning.train.checking import check, fill_in, require_optimizer, say_recipe, trusted
from prosr_lightning.train.checkpoints import AtomicCheckpointIO
from prosr_lightning.train.identity import identity_of
from prosr_lightning.train.starting import require_start, resume_from, start_from, start_of

log = logging.getLogger(__name__)


def no_logger() -> None:
    """Return nothing: `logger=none` trains without a log."""


def train(cfg: DictConfig) -> float | None:
    """Train as configured, score the best weights, and return what `callbacks.best` monitors.

    Args:
        cfg: The composed and validated `conf/train.yaml`.

    Returns:
        The best monitored value, `val/psnr` in dB unless the experiment names another, which a sweep optimises; None if
        nothing was validated.
    """
    fill_in(cfg)
    check(cfg)
    rank_zero_only(say_recipe)(cfg)
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    require_optimizer(cfg)
    checkpoint = resume_from(cfg)
    degradation: Degradation = instantiate(cfg.degradation, _convert_="all")
    datamodule: PatchDataModule = instantiate(cfg.data, _convert_="all", _partial_=True)(degradation=degradation)
    benchmarks = _benchmarks(cfg, datamodule)
    module = _module(cfg)
    logger: Logger | None = instantiate(cfg.logger, _convert_="all")
    meter = RunMeter()
    callbacks = [meter, *_callbacks(cfg, logger)]  # the meter counts a batch before others save
    trainer: Trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        plugins=[AtomicCheckpointIO()],
        callbacks=callbacks,
        logger=logger or False,
        strategy=_strategy(cfg.trainer),
    )
    _announce(module, trainer, checkpoint)
    if logger is not None:
        tracking.begin(logger, module, identity_of(cfg), resume_from=checkpoint)

    best, test = _best(callbacks), dict[str, float]()
    try:
        with progress_bar("Checking the photographs", shown=trainer.is_global_zero) as progress:
            datamodule.progress = progress
            datamodule.prepare_data()
        datamodule.progress = None
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        if trainer.is_global_zero:
            log.info("Trained for %s updates in all. Best weights: %s", module.steps_done, _where(best, trusted(cfg)))
            test = _score(cfg, module, benchmarks, degradation, best)
    except BaseException as error:
        _keep_record(cfg, module, trainer, meter, best, error=error)
        raise
    record = _keep_record(cfg, module, trainer, meter, best, test=test)
    if trainer.is_global_zero:
        tracking.summarise(logger, record, Path(cfg.paths.output_dir))
    return record.val.get("best")


def _keep_record(
    cfg: DictConfig,
    module: LitSuperResolution,
    trainer: Trainer,
    meter: RunMeter,
    best: ModelCheckpoint | None,
    *,
    test: Mapping[str, float] | None = None,
    error: BaseException | None = None,
) -> RunRecord:
    """Write what the run came to into its folder, also of one that failed."""
    folder = Path(cfg.paths.output_dir)
    val = {
        key.removeprefix("val/"): float(value)
        for key, value in trainer.callback_metrics.items()
        if key.startswith("val/")
    }
    score = best.best_model_score if best is not None else trainer.callback_metrics.get("val/psnr")
    if score is not None:
        val["best"] = float(score)
    path = best.best_model_path if best is not None else ""
    stopped = isinstance(error, KeyboardInterrupt) or "was stopped by" in str(error)
    record = RunRecord(
        status="finished" if error is None else "stopped" if stopped else "failed",
        name=identity_of(cfg).name,
        overrides=tuple(HydraConfig.get().overrides.task) if HydraConfig.initialized() else (),
        task=str(cfg.task_name),
        error="" if error is None else user_message(error) or f"{type(error).__name__}: {error}",
        seed=cfg.seed,
        method=module.title or module.generator.title,
        network=type(module.generator).__name__,
        architecture=module.generator.architecture,
        parameters=count_parameters(module.generator),
        layers=count_layers(module.generator),
        levels=tuple(module.levels),
        steps=module.steps_done,
        samples=meter.samples,
        seconds=round(meter.seconds, 2),
        cpu_seconds=round(meter.cpu_seconds, 2),
        val=val,
        test=test or {},
        protocol=str(cfg.test.protocol),
        checkpoint=Path(path).relative_to(folder).as_posix() if path and Path(path).is_relative_to(folder) else path,
        hardware=describe_hardware(module.device),
        config=module.run_config,
        choices=dict(HydraConfig.get().runtime.choices) if HydraConfig.initialized() else {},
    )
    if trainer.is_global_zero:
        try:
            write_record(folder, record)
        except StorageError:
            if error is None:
                raise
            log.warning("The record of this run could not be written to %s", folder)
    return record


def _module(cfg: DictConfig) -> LitSuperResolution:
    require_start(cfg)
    module: LitSuperResolution = instantiate(cfg.model, _convert_="all")
    module.run_config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    start = start_of(cfg)
    if cfg.ckpt_path is None and start is not None:  # a checkpoint brings its own weights
        start_from(start, module, trust=trusted(cfg))
    return module


def _strategy(trainer: DictConfig) -> str:
    """Return the strategy; one device needs no process group, which not every accelerator has."""
    single = str(trainer.devices) == "1" and trainer.get("num_nodes", 1) == 1
    return "auto" if single and str(trainer.strategy).startswith("ddp") else trainer.strategy


def _callbacks(cfg: DictConfig, logger: Logger | None) -> list[Callback]:
    callbacks = [instantiate(node, _convert_="all") for node in cfg.callbacks.values() if node is not None]
    unwanted: tuple[type[Callback], ...] = () if cfg.trainer.enable_progress_bar else (ProgressBar,)
    unwanted += () if logger is not None else (LearningRateMonitor,)
    return [one for one in callbacks if not isinstance(one, unwanted)]


def _benchmarks(cfg: DictConfig, datamodule: PatchDataModule) -> list[Benchmark]:
    """Find the test sets, before the training; name those of the usual ones that are not there, refuse other names."""
    if cfg.test.benchmarks is None:
        return []
    if cfg.test.benchmarks == "validation":
        return datamodule.validation_sets()
    benchmarks: list[Benchmark] = []
    several = not isinstance(cfg.test.benchmarks, str)
    for name in cfg.test.benchmarks if several else [cfg.test.benchmarks]:
        try:
            benchmarks.append(find_dataset(name, Path(cfg.paths.data_dir).expanduser()))
        except DataError as error:
            if canonical_name(name) not in NUM_IMAGES:
                raise
            rank_zero_only(log.warning)("Will not be scored: %s", error)
    return benchmarks


def _score(
    cfg: DictConfig,
    module: LitSuperResolution,
    benchmarks: Sequence[Benchmark],
    degradation: Degradation,
    best: ModelCheckpoint | None,
) -> dict[str, float]:
    """Score the best weights beside bicubic, and return their means."""
    if not benchmarks:
        return {}
    source = best.best_model_path if best is not None and best.best_model_path else None
    trust = trusted(cfg)
    networks = {cfg.test.method: load_network(source, trust=trust).network if source else module.network}
    sources = {cfg.test.method: source or ""}
    start = start_of(cfg)
    if start is not None:
        networks = {f"start ({Path(start).stem})": load_network(start, trust=trust).network, **networks}
    names = ", ".join(one.name for one in benchmarks)
    log.info("Scoring bicubic and %s on %s at %s", ", ".join(networks), names, list(cfg.test.scales))
    with progress_bar("Scoring") as advance:
        scores = score_run(
            networks,
            benchmarks,
            list(cfg.test.scales),
            get_protocol(cfg.test.protocol),
            output_dir=Path(cfg.paths.output_dir),
            device=module.device,
            sources=sources,
            measures=list(cfg.test.perceptual),
            picture=cfg.test.picture,
            degradation=degradation,
            progress=lambda _, done, total: advance(done, total),
        )
    means: dict[str, float] = {}
    for row in summarise(scores[cfg.test.method]):
        means |= {f"{row.dataset}/x{row.scale}/psnr": row.psnr_db, f"{row.dataset}/x{row.scale}/ssim": row.ssim}
    return means


def _where(best: ModelCheckpoint | None, trust: Sequence[str]) -> str:
    """Say where the best weights are, and of which update, or that there are none."""
    if best is None or not best.best_model_path:
        return "not kept"
    path = Path(best.best_model_path)
    steps = load_network(path, trust=trust).metadata.get("steps_done") if path.is_file() else None
    return f"{path}, of update {steps}" if steps is not None else str(path)


def _best(callbacks: list[Callback]) -> ModelCheckpoint | None:
    return next((one for one in callbacks if isinstance(one, ModelCheckpoint)), None)


@rank_zero_only
def _announce(module: LitSuperResolution, trainer: Trainer, checkpoint: str | None) -> None:
    generator = module.generator
    log.info(
        "%s: %s parameters, %s layers, levels %s, on %s x %s",
        type(generator).__name__,
        f"{count_parameters(generator):,}",
        count_layers(generator),
        list(module.levels),
        trainer.num_devices,
        type(trainer.accelerator).__name__.removesuffix("Accelerator"),
    )
    if checkpoint is not None:
        log.info("Resuming from %s", checkpoint)


@rank_zero_only
def _say_where(output_dir: str) -> None:
    Console(stderr=True).print(f"Run folder: {output_dir}", highlight=False, soft_wrap=True)


def _quiet() -> None:
    """Keep other packages' hints, which users of this command can do nothing about, from its output."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # lightning 2.6 with torch 2.13
    warnings.filterwarnings("ignore", message="The dirpath has changed")  # a resumed run has a folder of its own
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # the means are synchronised metrics already
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # patches are cheap to cut, see docs


@hydra_main("train", sweep_job=run_sweep_job)
def main(cfg: DictConfig) -> float | None:
    """Train as the command line says."""
    _quiet()
    _say_where(cfg.paths.output_dir)
    torch.set_float32_matmul_precision("high")
    with tracking.finished():  # or the jobs of a multirun become one run
        return train(cfg)
