"""How a run goes on: from which checkpoint, in which folder, and with which of its settings.

One run is one folder. `ckpt_path=FILE` with the `last.ckpt` of a run goes on in the folder of that run; with another
folder (`hydra.run.dir=DIR`), another checkpoint of the run, or that of a job of a sweep, the best weights, the log and
the panels are copied into the new one. `ckpt_path=last` takes the newest run of the same task and configuration, and
`ckpt_path=auto` does so where there is one and begins a new run where there is none.
"""

from __future__ import annotations

import logging
import pickle
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from lightning import Callback
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf, flag_override

from prosr_lightning.config import user_message, validate
from prosr_lightning.config.schema import make_lists
from prosr_lightning.config.tree import ASIDE, COMPARED, TREE
from prosr_lightning.console import run_reporting, say
from prosr_lightning.errors import CheckpointError
from prosr_lightning.lit.schedules import ProgressSchedule
from prosr_lightning.runs.folder import LAST, LOG
from prosr_lightning.runs.record import FILE_NAME
from prosr_lightning.runs.sweeps import JOB
from prosr_lightning.sweep.resuming import comparable
from prosr_lightning.train.checking import derive, trusted
from prosr_lightning.train.checkpoints import forget_best, read_state, relocate_best
from prosr_lightning.train.rates import NewRates
from prosr_lightning.words import quoted

log = logging.getLogger(__name__)

_CONFIG = Path(".hydra") / "config.yaml"
_REPEATED = ("model.optimizer.", "model.scheduler.", "model.levels", "model.val_scales", "data.levels", "data.seed")


def enter_folder(config: DictConfig) -> None:
    """Find the checkpoint that `ckpt_path` means, and send the run into its folder, before Hydra makes another.

    Args:
        config: As Hydra composed it, with its own part; both are changed.

    Raises:
        SystemExit: If there is no such checkpoint; Hydra would turn another exception of a callback into a warning.
    """
    try:
        code = run_reporting(lambda: _choose_folder(config), user_message)
    except Exception:  # noqa: BLE001  # or Hydra would go on
        traceback.print_exc()
        code = 1
    if code:
        raise SystemExit(code)


def _choose_folder(config: DictConfig) -> None:
    fixed = any(word.startswith("hydra.run.dir=") for word in config.hydra.overrides.hydra)
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    with flag_override(plain, "struct", values=False):
        plain.paths.output_dir = ""  # not known yet
    make_lists(plain)
    validate(plain, "train")
    checkpoint = find_checkpoint(derive(plain), Path(config.hydra.run.dir) if fixed else None)
    home = None if checkpoint is None else run_folder_of(checkpoint)
    with flag_override(config, ["struct", "readonly"], [False, False]):
        config.ckpt_path = None if checkpoint is None else str(checkpoint)
        if home is not None and not fixed and checkpoint == home / LAST and not (home / JOB).is_file():
            config.hydra.run.dir = str(home)
    # what the processes of other devices are started with: they must not search again
    path = "null" if checkpoint is None else quoted(checkpoint)
    sys.argv[1:] = [f"ckpt_path={path}" if word.startswith("ckpt_path=") else word for word in sys.argv[1:]]


def run_folder_of(checkpoint: Path) -> Path | None:
    """Return the folder of the run that a checkpoint lies in; None if it lies elsewhere."""
    folder = checkpoint.absolute().parents[1]
    marks = (_CONFIG, Path(FILE_NAME), LOG)
    inside = checkpoint.parent.name == LAST.parent.name and any((folder / mark).is_file() for mark in marks)
    return folder if inside else None


def find_checkpoint(cfg: DictConfig, own: Path | None = None) -> Path | None:
    """Return the checkpoint that `ckpt_path` means.

    Args:
        cfg: The configuration of the run, derived.
        own: The folder that the run must have, whose own checkpoint `last` and `auto` prefer.

    Returns:
        None if it is `auto` and there is none.

    Raises:
        CheckpointError: If it is `last` and there is none of the same configuration.
    """
    word = str(cfg.ckpt_path)
    if not word:
        raise CheckpointError("ckpt_path must be a checkpoint, `last` or `auto`, got nothing; leave it out.")
    if word not in ("last", "auto"):
        return Path(word).expanduser().absolute()
    if own is not None and (own / LAST).is_file():
        return (own / LAST).absolute()
    runs = Path(cfg.paths.log_dir).expanduser() / str(cfg.task_name)
    checkpoints = [path for path in runs.glob(f"**/{LAST}") if not (path.parents[1] / JOB).is_file()]
    newest: tuple[Path, str] | None = None
    for path in sorted(checkpoints, key=lambda file: file.stat().st_mtime, reverse=True):
        differs = [
            f"{key} was {then!r}, is {now!r}"
            for key, (then, now) in changes(_stored_config(path), _plain(cfg)).items()
            if not key.startswith("trainer.")
        ]
        if not differs:
            return path.absolute()
        newest = newest or (path, differs[0])
    if word == "auto":
        say(f"ckpt_path=auto: no earlier run of this configuration below {runs}; a new one begins")
        return None
    if newest is None:
        raise CheckpointError(
            f"ckpt_path=last goes on with the newest run of task_name={cfg.task_name}, found none below "
            f"{runs.absolute()}; begin one without ckpt_path (ckpt_path=auto does so where there is none), or name the "
            "last.ckpt of another folder."
        )
    raise CheckpointError(
        f"ckpt_path=last needs an earlier run of the same configuration below {runs}, found others: of the newest, "
        f"{newest[1]}; ckpt_path={newest[0]} goes on with it nevertheless, with the settings of now."
    )


def changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two configurations of what decides a training, by key: then, and now.

    Examples:
        >>> changes({"seed": 0, "data": {"cache_dir": "a"}}, {"seed": 1, "data": {"cache_dir": "b"}})
        {'seed': (0, 1)}
    """
    before, after = comparable(earlier), comparable(now)
    return {
        key: (before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if _decides(key) and _value(key, before.get(key)) != _value(key, after.get(key))
    }


def _decides(key: str) -> bool:
    first, last = key.partition(".")[0], key.rpartition(".")[-1]
    repeats = key.startswith(_REPEATED)
    return (first == "trainer" or (first in TREE and TREE[first].course)) and last not in ASIDE and not repeats


def _value(key: str, value: Any) -> Any:  # noqa: ANN401  # plain values
    if isinstance(value, tuple):
        value = list(value)
    return str(Path(value).expanduser().absolute()) if key.endswith("_dir") and isinstance(value, str) else value


def _plain(cfg: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))


def _stored_config(path: Path) -> dict[str, Any]:
    """Return the configuration that a checkpoint was trained with; empty if it says none."""
    with suppress(OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, pickle.UnpicklingError):
        config = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["prosr"]["config"]
        return config if isinstance(config, dict) else {}
    return {}


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """A run that goes on.

    Attributes:
        checkpoint: What it goes on from.
        folder: The run folder, of which it was, or now is, a part.
        earlier: The configuration so far; empty if not known.
        changed: What differs now, by key: then, and now.
    """

    checkpoint: Path
    folder: Path
    earlier: Mapping[str, Any]
    changed: Mapping[str, tuple[Any, Any]]

    def adapt(self, state: dict[str, Any]) -> None:
        """Change the state that is about to be loaded where the new settings or the folder ask for it."""
        relocate_best(state, self.folder)
        if any(key in COMPARED for key in self.changed):
            rank_zero_only(log.warning)("Validated on something else than before: the best weights are chosen anew")
            for callback in state.get("callbacks", {}).values():
                forget_best(callback)
        if self._rescheduled:
            state["lr_schedulers"] = []

    def callbacks(self) -> list[Callback]:
        """Return what gives the optimizers their new settings, which loading their state takes away again."""
        rescheduled = self._rescheduled
        if not rescheduled and not any("optimizer" in key for key in self.changed):
            return []
        return [NewRates(self.earlier, anew=rescheduled)]

    @property
    def _rescheduled(self) -> bool:
        return any(key.partition(".")[0] == "scheduler" for key in self.changed)


def resume(cfg: DictConfig) -> Resumption | None:
    """Return what a run goes on from, having made sure that it can; None to start anew.

    Raises:
        CheckpointError: If there is none, it does not hold the state of a run, or that of another course.
    """
    if cfg.ckpt_path is None or (checkpoint := find_checkpoint(cfg)) is None:
        return None
    earlier = read_state(checkpoint, trust=trusted(cfg))["prosr"].get("config") or {}
    changed = changes(earlier, _plain(cfg)) if earlier else {}
    for key, (then, now) in changed.items():
        if (reason := _hindrance(key, then, cfg, earlier)) is not None:
            raise CheckpointError(
                f"ckpt_path must be of a run with the same {key.removesuffix('._target_')}, {now}, got {then} in "
                f"{checkpoint}: {reason}; choose the same settings, or start from its weights with "
                f"init_from={checkpoint}."
            )
    changed = {key: both for key, both in changed.items() if key != "init_from"}  # the checkpoint brings the weights
    _say_what_changed(cfg, checkpoint, changed)
    folder = Path(cfg.paths.output_dir)
    return Resumption(checkpoint=checkpoint, folder=folder, earlier=earlier, changed=changed)


def _hindrance(key: str, then: object, cfg: DictConfig, earlier: Mapping[str, Any]) -> str | None:
    """Return why a setting cannot be changed in the middle of a run; None if it can."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    if key.endswith("optimizer._target_"):
        now = OmegaConf.select(cfg, key) or cfg.optimizer._target_  # a discriminator without its own has the same
        if (then or earlier["optimizer"]["_target_"]) != now:
            return "its state is that of another optimizer"
    if key == "levels":
        return "val/psnr is of other levels"
    if key == "init_from" and cfg.init_from is not None and any(word.startswith("init_from=") for word in words):
        return "a run begins once"
    if key.startswith("scheduler.") and cfg.scheduler is not None:
        target = get_object(cfg.scheduler._target_)
        if not (isinstance(target, type) and issubclass(target, ProgressSchedule)):
            return "such a schedule counts from its own beginning"
    return None


@rank_zero_only
def _say_what_changed(cfg: DictConfig, checkpoint: Path, changed: Mapping[str, tuple[Any, Any]]) -> None:
    log.info("Resuming from %s", checkpoint)
    if changed:
        text = ", ".join(f"{key}={now} (was {then})" for key, (then, now) in changed.items())
        log.info("Other settings than before, used from here on: %s", text)
    if cfg.trainer.max_time is not None:
        log.info("trainer.max_time=%s counts the time before the stop too", cfg.trainer.max_time)
