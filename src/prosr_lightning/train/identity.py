"""What a run is called: from its configuration and what the command line chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.tree import TREE
from prosr_lightning.runs.record import run_name
from prosr_lightning.tracking import Identity
from prosr_lightning.train.checking import module_class


def choices_of() -> dict[str, str]:
    """Return what the running command chose from each group; nothing outside of one."""
    if not HydraConfig.initialized():
        return {}
    choices = {str(key).partition("@")[0]: value for key, value in HydraConfig.get().runtime.choices.items()}
    return {key: str(value) for key, value in choices.items() if value is not None and not key.startswith("hydra/")}


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
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        overrides = list(hydra.overrides.task)
        if hydra.mode == RunMode.MULTIRUN:
            group = f"{group}-{Path(hydra.sweep.dir).name}"
    levels = "_".join(f"x{level}" for level in cfg.levels)
    choices = choices_of()
    tags = [choices[key] for key, part in TREE.items() if part.tag and key in choices]
    name = run_name(
        cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)),
        overrides,
        network=get_class(cfg.model.generator._target_),
        adversarial=module_class(cfg).adversarial,
    )
    return Identity(name=name, group=group, tags=tuple(dict.fromkeys([*tags, levels])))
