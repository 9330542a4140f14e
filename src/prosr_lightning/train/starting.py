"""What a training run begins with: the whole state of an earlier run, or the weights of a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.schema import leaves
from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.networks import Trust
from prosr_lightning.networks.architecture import describe
from prosr_lightning.networks.weights import load_network
from prosr_lightning.train.checking import trusted
from prosr_lightning.train.checkpoints import read_state

log = logging.getLogger(__name__)

_COURSE = (
    "data",
    "degradation",
    "fine_tuning_rate",
    "model",
    "optimizer",
    "scheduler",
    "seed",
    "trainer",
)  # what decides the training
_REQUIRED = "required"  # what an experiment puts into init_from if it cannot begin without


def start_of(cfg: DictConfig) -> str | None:
    """Return the weights that `init_from` names; None without, also where a resumed run need not name its start."""
    return None if cfg.init_from in (None, _REQUIRED) else str(cfg.init_from)


def require_start(cfg: DictConfig) -> None:
    """Refuse to begin without the trained network that an experiment needs.

    Raises:
        ConfigError: If neither `init_from` nor `ckpt_path` names one.
    """
    if cfg.ckpt_path is None and cfg.init_from == _REQUIRED:
        raise ConfigError(
            "init_from must name the trained network that this experiment starts from, got nothing; give "
            "init_from=CKPT or a released name. init_from=null starts from a fresh network, and with "
            "model.pretrain_epochs=N the first N epochs train it without the discriminator."
        )


def start_from(name_or_path: str, module: LitSuperResolution, *, trust: Trust = ()) -> None:
    """Take over the weights of a trained network.

    Args:
        name_or_path: As `weights.load_network`.
        module: Gets them.
        trust: As `networks.network_class`.

    Raises:
        CheckpointError: If they are of another architecture, or cannot be read.
    """
    start = load_network(name_or_path, trust=trust).network
    mine = module.generator.architecture
    if start.architecture != mine:
        raise CheckpointError(
            f"init_from must hold the architecture of this run, {describe(mine)}, got {describe(start.architecture)}; "
            "choose the same settings or other weights."
        )
    module.start_from(start)


def resume_from(cfg: DictConfig) -> str | None:
    """Return the checkpoint to go on from, having made sure that it can be read; None to start anew.

    Args:
        cfg: The composed `conf/train.yaml`, filled in.

    Raises:
        CheckpointError: If there is none, it does not hold the state of a run, or that of another course.
    """
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
    earlier = read_state(path, trust=trusted(cfg))["prosr"].get("config") or {}
    _require_same_course(cfg, earlier, path)
    _say_what_changed(cfg, earlier)
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


def _say_what_changed(cfg: DictConfig, earlier: Mapping[str, Any]) -> None:
    """Name the settings that differ from those the state was trained with; places and the log do not count."""
    now, then = (dict(leaves(one, "")) for one in (OmegaConf.to_container(cfg, resolve=True), earlier))
    changed = [
        f"{key}={now[key]} (was {then[key]})"
        for key in now
        if key in then and key.split(".")[0] in _COURSE and not _is_aside(key) and now[key] != then[key]
    ]
    if changed:
        log.info("Other settings than before: %s", ", ".join(changed))
    if cfg.trainer.max_time is not None:
        log.info("trainer.max_time=%s counts the time before the stop too", cfg.trainer.max_time)


def _is_aside(key: str) -> bool:
    """Tell places, the bar, and what the model only repeats of other keys."""
    if key.startswith(("model.optimizer.", "model.scheduler.")):
        return True
    return key.rsplit(".", maxsplit=1)[-1].endswith(("_dir", "_path")) or key == "trainer.enable_progress_bar"
