"""One training, from its configuration to its record."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, cast

import lightning
import torch
from hydra.utils import instantiate
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from prosr_lightning import tracking
from prosr_lightning.console import progress_bar, say
from prosr_lightning.data.benchmarks import NUM_IMAGES, Benchmark, canonical_name, find_dataset
from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.errors import ConfigError, DataError, StoppedError
from prosr_lightning.evaluate.after_training import score_run
from prosr_lightning.imaging.degradation import Degradation
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.metrics.protocol import get_protocol
from prosr_lightning.networks.contract import count_layers, count_parameters
from prosr_lightning.networks.weights import load_network
from prosr_lightning.runs.folder import LAST, open_run
from prosr_lightning.runs.scores import summarise
from prosr_lightning.train.callbacks import RunMeter
from prosr_lightning.train.checking import derive, say_recipe, trusted
from prosr_lightning.train.checkpoints import AtomicCheckpointIO
from prosr_lightning.train.identity import identity_of
from prosr_lightning.train.recording import best_of, best_step, keep_record, save_configuration
from prosr_lightning.train.resuming import Resumption, resume, run_folder_of
from prosr_lightning.train.starting import start_from, start_of

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float | None:
    """Train as configured, score the best weights, and return what `callbacks.best` monitors.

    Args:
        cfg: The composed and validated `conf/train.yaml`; it is not changed.

    Returns:
        The best monitored value, `val/psnr` in dB unless the experiment names another, which a sweep optimises; None if
        nothing was validated.
    """
    cfg = derive(cfg)
    rank_zero_only(say_recipe)(cfg)
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    resumption = resume(cfg)
    degradation: Degradation = instantiate(cfg.degradation, _convert_="all")
    datamodule: PatchDataModule = instantiate(cfg.data, _convert_="all", _partial_=True)(degradation=degradation)
    datamodule.training_photographs()  # says what is missing before anything is begun
    benchmarks = _benchmarks(cfg, datamodule)
    module = _module(cfg)
    loggers = _made(cfg, "logger", Logger)
    meter = RunMeter()
    trainer = _trainer(cfg, resumption, loggers, meter)
    checkpoint = None if resumption is None else str(resumption.checkpoint)
    with _stoppable(cfg), _own_folder(cfg, resumption):
        try:
            _announce(module, trainer)
            for logger in loggers:
                tracking.begin(logger, module, identity_of(cfg, module), resume_from=checkpoint)
            with progress_bar("Checking the photographs", shown=trainer.is_global_zero) as progress:
                datamodule.progress = progress
                datamodule.prepare_data()
            datamodule.progress = None
            _say_data(datamodule)
            trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
            test = _score(cfg, module, benchmarks, degradation, trainer) if trainer.is_global_zero else {}
        except BaseException as error:
            keep_record(cfg, module, trainer, meter, error=error)
            raise
        record = keep_record(cfg, module, trainer, meter, test=test)
        if trainer.is_global_zero:
            for logger in loggers:
                tracking.summarise(logger, record, Path(cfg.paths.output_dir))
    return record.val.get("best")


@contextmanager
def _own_folder(cfg: DictConfig, resumption: Resumption | None) -> Iterator[None]:
    """Have the run folder for this process and those that it starts, with the configuration in it."""
    if cast(Any, rank_zero_only).rank:  # the first process has it
        yield
        return
    source = None if resumption is None else run_folder_of(resumption.checkpoint)
    folder = Path(cfg.paths.output_dir)
    with open_run(folder, resumed=resumption is not None, source=source), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # that is meant
        save_configuration(cfg)
        yield


@contextmanager
def _stoppable(cfg: DictConfig) -> Iterator[None]:
    """Turn SIGTERM into an error wherever it comes; while batches are trained `KeepLast` listens instead."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:  # signal's signature
        raise StoppedError(
            f"The run was stopped by {signal.Signals(number).name} outside of its training; where "
            f"{Path(cfg.paths.output_dir) / LAST} is, ckpt_path with it goes on.",
            number=number,
        )

    try:
        previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, stop), signal.SIGINT: signal.getsignal(signal.SIGINT)}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _made(cfg: DictConfig, group: str, kind: type) -> list[Any]:
    """Return what the nodes of a group make."""
    parts = {name: instantiate(node, _convert_="all") for name, node in cfg[group].items() if node is not None}
    for name, part in parts.items():
        if not isinstance(part, kind):
            raise ConfigError(
                f"`{group}.{name}` must be a Lightning {kind.__name__}, got {type(part).__name__}; see "
                "docs/extending.md."
            )
    return list(parts.values())


def _trainer(cfg: DictConfig, resumption: Resumption | None, loggers: list[Logger], meter: RunMeter) -> Trainer:
    callbacks = _made(cfg, "callbacks", Callback)
    unwanted: tuple[type[Callback], ...] = () if cfg.trainer.enable_progress_bar else (ProgressBar,)
    unwanted += () if loggers else (LearningRateMonitor,)
    wanted = [callback for callback in callbacks if not isinstance(callback, unwanted)]
    trainer: Trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        plugins=[AtomicCheckpointIO(adapt=None if resumption is None else resumption.adapt)],
        # the meter comes first: it counts the batch after which a run is stopped
        callbacks=[meter, *(resumption.callbacks() if resumption is not None else []), *wanted],
        logger=loggers or False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in wanted),
    )
    return trainer


def _module(cfg: DictConfig) -> LitSuperResolution:
    module: LitSuperResolution = instantiate(cfg.model, _convert_="all")
    module.run_config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    if cfg.ckpt_path is None and (start := start_of(cfg)) is not None:  # a checkpoint brings its own weights
        start_from(start, module, trust=trusted(cfg))
    return module


def _benchmarks(cfg: DictConfig, datamodule: PatchDataModule) -> list[Benchmark]:
    """Find the test sets, before the training; name those of the usual ones that are not there, refuse other names."""
    if cfg.test.benchmarks is None:
        return []
    if cfg.test.benchmarks == "validation":
        benchmarks = datamodule.validation_sets()
        if any(benchmark.lr_dir is not None for benchmark in benchmarks) and list(cfg.test.scales) != [
            datamodule.scale
        ]:
            raise ConfigError(
                f"`test.scales` must be [{datamodule.scale}], the factor of the LR images that are given, got "
                f"{list(cfg.test.scales)}; set test.scales=[{datamodule.scale}]."
            )
        return benchmarks
    benchmarks = []
    several = not isinstance(cfg.test.benchmarks, str)
    for name in cfg.test.benchmarks if several else [cfg.test.benchmarks]:
        try:
            benchmarks.append(find_dataset(name, Path(cfg.paths.data_dir).expanduser()))
        except DataError as error:
            if canonical_name(name) not in NUM_IMAGES:
                raise
            rank_zero_only(log.warning)("Will not be scored: %s", error)
    if several and cfg.test.benchmarks and not benchmarks:
        rank_zero_only(log.warning)(
            "No benchmark will be scored; test.benchmarks=validation takes the validation images, null none."
        )
    return benchmarks


def _score(
    cfg: DictConfig,
    module: LitSuperResolution,
    benchmarks: Sequence[Benchmark],
    degradation: Degradation,
    trainer: Trainer,
) -> dict[str, float]:
    """Score the best weights beside bicubic, and return their means."""
    best = best_of(trainer)
    source = best.best_model_path if best is not None and best.best_model_path else None
    log.info(
        "Trained for %s updates in all. Best weights: %s",
        module.steps_done,
        "not kept" if source is None else f"{source}, after update {best_step(best)}",
    )
    if not benchmarks:
        return {}
    trust = trusted(cfg)
    networks = {cfg.test.method: load_network(source, trust=trust).network if source else module.network}
    start = start_of(cfg)
    if start is not None:
        networks = {f"start ({Path(start).stem})": load_network(start, trust=trust).network, **networks}
    names = ", ".join(benchmark.name for benchmark in benchmarks)
    log.info("Scoring bicubic and %s on %s at %s", ", ".join(networks), names, list(cfg.test.scales))
    with progress_bar("Scoring") as advance:
        scores = score_run(
            networks,
            benchmarks,
            list(cfg.test.scales),
            get_protocol(cfg.test.protocol),
            output_dir=Path(cfg.paths.output_dir),
            device=module.device,
            sources={cfg.test.method: source or ""},
            measures=list(cfg.test.perceptual),
            picture=cfg.test.picture,
            degradation=degradation,
            progress=advance,
        )
    means: dict[str, float] = {}
    for row in summarise(scores[cfg.test.method]):
        means |= {f"{row.dataset}/x{row.scale}/psnr": row.psnr_db, f"{row.dataset}/x{row.scale}/ssim": row.ssim}
    return means


@rank_zero_only
def _say_data(datamodule: PatchDataModule) -> None:
    contents = datamodule.contents()
    log.info(
        "Training on %s photographs (%s megapixels)%s in %s, validating on %s",
        contents["photographs"],
        contents["megapixels"],
        f" and {contents['shrunk']} smaller copies" if contents["shrunk"] else "",
        contents["folder"],
        ", ".join(f"{name} ({count} images)" for name, count in contents["validation"].items()),
    )


@rank_zero_only
def _announce(module: LitSuperResolution, trainer: Trainer) -> None:
    generator = module.generator
    log.info(
        "%s: %s parameters, %s layers, levels %s, on %s x %s",
        type(generator).__name__,
        f"{count_parameters(generator):,}",
        count_layers(generator),
        list(module.levels),
        trainer.world_size,
        type(trainer.accelerator).__name__.removesuffix("Accelerator"),
    )


def quiet() -> None:
    """Keep other packages' hints, which a reader can do nothing about, from the output of a command or notebook."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # lightning 2.6 with torch 2.13
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # the means are synchronised metrics already
    warnings.filterwarnings(
        "ignore", message="The ``compute`` method.*before the ``update``"
    )  # a device without images
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # patches are cheap to cut, see docs
    warnings.filterwarnings("ignore", message="The `srun` command is available")  # docs/nodes.md says when to use it


def run(cfg: DictConfig) -> float | None:
    """Do as `train`, as a command on its own or one job of a sweep: say where, and leave no tracker open."""
    quiet()
    rank_zero_only(say)(f"Run folder: {cfg.paths.output_dir}")
    torch.set_float32_matmul_precision("high")
    with tracking.finished():  # or the jobs of a multirun become one run
        return train(cfg)
