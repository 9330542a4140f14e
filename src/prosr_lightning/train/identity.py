"""What a run is called: from its configuration and what the command line chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.runs.record import run_name
from prosr_lightning.tracking import Identity
from prosr_lightning.train.checking import module_class

_TAGGED = ("experiment", "method", "structure", "budget")  # groups whose choice is a tag


def identity_of(cfg: DictConfig) -> Identity:
    """Return the name, group and tags of a run.

    Args:
        cfg: The composed `conf/train.yaml`.

    Returns:
        The group is the task's name, in a sweep with the name of its folder; the tags are the choices of experiment,
        method, structure and budget, and the levels.
    """
    group = str(cfg.task_name)
    overrides: list[str] = []
    choices: dict[str, str] = {}
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        overrides = list(hydra.overrides.task)
        choices = {str(key).partition("@")[0]: value for key, value in hydra.runtime.choices.items()}
        if hydra.mode == RunMode.MULTIRUN:
            group = f"{group}-{Path(hydra.sweep.dir).name}"
    levels = "_".join(f"x{level}" for level in cfg.levels)
    tags = [str(choices[key]) for key in _TAGGED if choices.get(key) is not None]
    name = run_name(
        cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)),
        overrides,
        network=get_class(cfg.model.generator._target_),
        adversarial=module_class(cfg).adversarial,
    )
    return Identity(name=name, group=group, tags=tuple(dict.fromkeys([*tags, levels])))
