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
from prosr_lightning.callbacks import RunMeter
from prosr_lightning.checkpoints import AtomicCheckpointIO
from prosr_lightning.config import hydra_main, user_message
from prosr_lightning.config.identity import identity_of
from prosr_lightning.console import progress_bar
from prosr_lightning.data.benchmarks import Benchmark, find_dataset
from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.errors import CheckpointError, ConfigError, DataError, StorageError
from prosr_lightning.evaluation import get_protocol
from prosr_lightning.evaluation.after_training import score_run
from prosr_lightning.evaluation.results import summarise
from prosr_lightning.evaluation.scoring import PERCEPTUAL
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.networks import method_name
from prosr_lightning.networks.contract import SRNetwork, count_layers, count_parameters, levels_up_to
from prosr_lightning.record import RunRecord, describe_hardware, write_record
from prosr_lightning.weights import load_network

log = logging.getLogger(__name__)

_PRECISIONS = ("32-true", "32", "bf16-mixed", "16-mixed")
_REQUIRED = "required"  # what an experiment puts into init_from if it cannot begin without


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
    _fill_in(cfg)
    _check(cfg)
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    _require_optimizer(cfg)
    resume_from = _resume_from(cfg)
    datamodule: PatchDataModule = instantiate(cfg.data, _convert_="all")
    module = _module(cfg, datamodule)
    logger: Logger | None = instantiate(cfg.logger, _convert_="all")
    meter = RunMeter()
    callbacks = [*_callbacks(cfg, logger), meter]
    trainer: Trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        plugins=[AtomicCheckpointIO()],
        callbacks=callbacks,
        logger=logger or False,
        strategy=_strategy(cfg.trainer),
    )
    _announce(module, trainer, resume_from)
    if logger is not None:
        tracking.begin(logger, module, identity_of(cfg), resume_from=resume_from)

    best, test = _best(callbacks), dict[str, float]()
    try:
        with progress_bar("Checking the photographs", shown=trainer.is_global_zero) as progress:
            datamodule.progress = progress
            datamodule.prepare_data()
        datamodule.progress = None
        trainer.fit(module, datamodule=datamodule, ckpt_path=resume_from, weights_only=True)
        if trainer.is_global_zero:
            where = best.best_model_path if best is not None and best.best_model_path else "not kept"
            log.info("Trained for %s updates in all. Best weights: %s", module.steps_done, where)
            test = _score(cfg, module, datamodule, best)
    except BaseException as error:
        _keep_record(cfg, module, trainer, meter, best, error=error)
        raise
    record = _keep_record(cfg, module, trainer, meter, best, test=test)
    if trainer.is_global_zero:
        tracking.summarise(logger, record, Path(cfg.paths.output_dir))
    return record.val.get("best")


def _fill_in(cfg: DictConfig) -> None:
    """Fill in what follows from the choice of the method: levels, scales that are scored, and its name."""
    network = cast(SRNetwork, instantiate(cfg.model.generator, _convert_="all"))
    _require_own_depth(network)
    if cfg.scale is not None:
        cfg.levels = list(network.training_levels(cfg.scale))
    if cfg.test.method is None:
        adversarial = str(cfg.model._target_).endswith("GAN")
        cfg.test.method = "ProSRGAN" if adversarial else method_name(type(network).__name__)
    if isinstance(cfg.val_scales, int):
        cfg.val_scales = [cfg.val_scales]
    wrong = [scale for scale in cfg.val_scales or () if network.scales is not None and scale not in network.scales]
    if wrong:
        raise ConfigError(
            f"`val_scales` must hold factors that this {cfg.test.method} can do, {list(network.scales or ())}, got "
            f"{wrong}; choose some of them."
        )
    scales = cfg.test.scales
    if cfg.test.benchmarks is None or network.scales is None or not OmegaConf.is_list(scales):
        return
    possible = [scale for scale in scales if scale in network.scales]
    if possible and len(possible) < len(scales):
        left_out = [scale for scale in scales if scale not in network.scales]
        log.warning("Not scored at %s, which this %s cannot do", left_out, cfg.test.method)
        cfg.test.scales = possible
    elif scales and not possible:
        raise ConfigError(
            f"`test.scales` must hold a factor that this {cfg.test.method} can do, {list(network.scales)}, got "
            f"{list(scales)}; choose one of them."
        )


def _require_own_depth(network: SRNetwork) -> None:
    """Refuse `depth=` for a method that does not read it: a sweep would train the same network again and again."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    if type(network).__name__ != "Generator" and any(word.startswith("depth=") for word in words):
        raise ConfigError(
            f"`depth` belongs to method=prosrn, got it with {method_name(type(network).__name__)}; leave it out, or "
            "see conf/method for the settings of this one."
        )


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
        network=type(module.generator).__name__,
        parameters=count_parameters(module.generator),
        layers=count_layers(module.generator),
        levels=tuple(module.levels),
        steps=module.steps_done,
        samples=meter.samples,
        seconds=round(meter.seconds, 2),
        cpu_seconds=round(meter.cpu_seconds, 2),
        val=val,
        test=test or {},
        checkpoint=Path(path).relative_to(folder).as_posix() if path and Path(path).is_relative_to(folder) else path,
        hardware=describe_hardware(module.device),
    )
    if trainer.is_global_zero:
        try:
            write_record(folder, record)
        except StorageError:
            if error is None:
                raise
            log.warning("The record of this run could not be written to %s", folder)
    return record


def _check(cfg: DictConfig) -> None:
    """Refuse before the training what would fail after it.

    Raises:
        ConfigError: If the seed, or a key that is only read at the end, has a value that is not allowed.
    """
    if isinstance(cfg.seed, bool) or not isinstance(cfg.seed, int) or not 0 <= cfg.seed < 2**32:
        raise ConfigError(f"`seed` must be a whole number from 0 to 2^32 - 1, got {cfg.seed!r}; choose one.")
    if str(cfg.trainer.precision) not in _PRECISIONS:
        raise ConfigError(
            f"`trainer.precision` must be one of {', '.join(_PRECISIONS)}, got {cfg.trainer.precision}; the weights "
            "stay in float32."
        )
    if cfg.val_scales is not None:
        _require_different("val_scales", list(cfg.val_scales))
    if cfg.test.benchmarks is None:
        return
    get_protocol(cfg.test.protocol)
    scales = [cfg.test.scales] if isinstance(cfg.test.scales, int) else list(cfg.test.scales or [])
    if not scales:
        raise ConfigError("`test.scales` must name at least one factor, got none; choose [2, 4, 8].")
    for scale in scales:
        levels_up_to(scale)
    _require_different("test.scales", scales)
    cfg.test.scales = scales
    if isinstance(cfg.test.perceptual, str):
        cfg.test.perceptual = [cfg.test.perceptual]
    method = cfg.test.method
    if not isinstance(method, str) or Path(method).name != method or method.lower() == "bicubic":
        raise ConfigError(f"`test.method` must be a plain name other than bicubic, got {method!r}; choose e.g. ProSRN.")
    wrong = sorted(set(cfg.test.perceptual) - set(PERCEPTUAL))
    if wrong:
        raise ConfigError(f"`test.perceptual` may hold {', '.join(PERCEPTUAL)}, got {', '.join(wrong)}; leave it out.")


def _require_different(key: str, scales: Sequence[int]) -> None:
    if len(set(scales)) < len(scales):
        raise ConfigError(f"`{key}` must hold different factors, got {list(scales)}; name each once.")


def _require_optimizer(cfg: DictConfig) -> None:
    """Build the optimizer for a single number, so that its wrong settings are known before any data is read."""
    factory = instantiate(cfg.optimizer, _convert_="all")
    try:
        factory([torch.nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"`optimizer` must have settings that {cfg.optimizer._target_} takes, got: {error}; compare with "
            "conf/train.yaml."
        ) from error


def _module(cfg: DictConfig, datamodule: PatchDataModule) -> LitSuperResolution:
    if cfg.ckpt_path is None and cfg.init_from == _REQUIRED:
        raise ConfigError(
            "init_from must name the trained network that this experiment starts from, got nothing; give "
            "init_from=CKPT or a released name. init_from=null starts from a fresh network, and with "
            "model.pretrain_epochs=N the first N epochs train it without the discriminator."
        )
    module: LitSuperResolution = instantiate(cfg.model, _convert_="all")
    module.run_config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    if cfg.ckpt_path is not None:
        return module  # which brings its own weights
    if cfg.init_from is not None:
        start = load_network(str(cfg.init_from)).network
        mine = cast(SRNetwork, module.generator).architecture
        if cast(SRNetwork, start).architecture != mine:
            raise CheckpointError(
                f"init_from must hold the architecture of this run, {mine}, got {cast(SRNetwork, start).architecture}; "
                "choose the same settings or other weights."
            )
        module.start_from(start)
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


def _resume_from(cfg: DictConfig) -> str | None:
    """Return the checkpoint to go on from, having made sure that it can be read."""
    if cfg.ckpt_path is None:
        return None
    if not str(cfg.ckpt_path):
        raise CheckpointError("ckpt_path must be a checkpoint or `last`, got nothing; leave it out to start anew.")
    path = Path(str(cfg.ckpt_path)).expanduser()
    if cfg.ckpt_path == "last":
        runs = Path(cfg.paths.log_dir) / cfg.task_name
        found = sorted(runs.glob("**/checkpoints/last.ckpt"), key=lambda file: file.stat().st_mtime)
        if not found:
            raise CheckpointError(
                f"ckpt_path=last needs a last.ckpt of an earlier run below {runs}, found none; "
                "give a path, or start without ckpt_path."
            )
        path = found[-1]
    load_network(path)  # says what is wrong with the file before anything is set up
    stored = {} if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    if not {"optimizer_states", "loops"} <= stored.keys() or "steps_done" not in stored.get("prosr", {}):
        raise CheckpointError(
            f"ckpt_path must hold the whole state of a run, got weights alone in {path}; start from them with "
            f"init_from={path}."
        )
    _require_same_course(cfg, stored["prosr"].get("config") or {}, path)
    return str(path)


def _require_same_course(cfg: DictConfig, earlier: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on with another optimizer, whose state is another, or other levels, whose val/psnr is another."""
    now = {"optimizer": cfg.optimizer._target_, "levels": list(cfg.levels)}
    then = {"optimizer": (earlier.get("optimizer") or {}).get("_target_"), "levels": earlier.get("levels")}
    for key, value in now.items():
        if then[key] is not None and then[key] != value:
            raise CheckpointError(
                f"ckpt_path must be of a run with the same {key}, {value}, got {then[key]} in {path}; choose the same "
                f"settings, or start from its weights with init_from={path}."
            )


def _score(
    cfg: DictConfig, module: LitSuperResolution, datamodule: PatchDataModule, best: ModelCheckpoint | None
) -> dict[str, float]:
    """Score the best weights beside bicubic on the test sets that are there, and return their means."""
    if cfg.test.benchmarks is None:
        return {}
    benchmarks: list[Benchmark] = []
    if cfg.test.benchmarks == "validation":
        benchmarks = datamodule.validation_sets()
    else:
        several = not isinstance(cfg.test.benchmarks, str)
        for name in cfg.test.benchmarks if several else [cfg.test.benchmarks]:
            try:
                benchmarks.append(find_dataset(name, Path(cfg.paths.data_dir).expanduser()))
            except DataError as error:
                log.warning("Not scored: %s", error)
    if not benchmarks:
        return {}
    source = best.best_model_path if best is not None and best.best_model_path else None
    networks = {cfg.test.method: load_network(source).network if source else module.network}
    sources = {cfg.test.method: source or ""}
    if cfg.init_from not in (None, _REQUIRED):  # a resumed run need not name its start again
        networks = {f"start ({Path(cfg.init_from).stem})": load_network(str(cfg.init_from)).network, **networks}
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
            progress=lambda _, done, total: advance(done, total),
        )
    means: dict[str, float] = {}
    for row in summarise(scores[cfg.test.method]):
        means |= {f"{row.dataset}/x{row.scale}/psnr": row.psnr_db, f"{row.dataset}/x{row.scale}/ssim": row.ssim}
    return means


def _best(callbacks: list[Callback]) -> ModelCheckpoint | None:
    return next((one for one in callbacks if isinstance(one, ModelCheckpoint)), None)


@rank_zero_only
def _announce(module: LitSuperResolution, trainer: Trainer, resume_from: str | None) -> None:
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
    if resume_from is not None:
        log.info("Resuming from %s", resume_from)


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


@hydra_main("train")
def main(cfg: DictConfig) -> float | None:
    """Train as the command line says."""
    _quiet()
    _say_where(cfg.paths.output_dir)
    torch.set_float32_matmul_precision("high")
    with tracking.finished():  # or the jobs of a multirun become one run
        return train(cfg)


if __name__ == "__main__":
    main()
