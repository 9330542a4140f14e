"""What a run is called: from its configuration and what the command line chose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.tree import TREE
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.networks import SRNetwork
from prosr_lightning.tracking import Identity


def run_name(
    config: Mapping[str, Any], overrides: Sequence[str], *, network: SRNetwork, adversarial: bool = False
) -> str:
    """Return a readable name of a run: its network and levels, and what else the command line chose.

    Args:
        config: The composed configuration, resolved.
        overrides: The words of the command line; those about folders, devices, length and logs do not count.
        network: The generator.
        adversarial: Whether a discriminator takes part.

    Returns:
        `memory-d10-x2_x4` of a ProSRN, `gan-...` of a ProSRGAN, `lapsrn-x2_x4` of a compared method; then the last part
        of each further key with its value, `fusion-inception`, and last `s1` where a seed was given.

    Examples:
        >>> from prosr_lightning.networks import Generator
        >>> run_name({"levels": [2, 4], "seed": 1}, ["depth=10", "seed=1"], network=Generator(depth=10))
        'memory-d10-x2_x4-s1'
    """
    parts = ["gan"] if adversarial else []
    parts += [network.short_name, "_".join(f"x{level}" for level in config["levels"])]
    for word in overrides:
        key, _, value = word.lstrip("+~").partition("=")
        part = TREE.get(key.partition(".")[0].partition("@")[0].partition("/")[0])
        if key == "seed" or (part is not None and part.spoken):
            continue
        plain = re.sub(r"[^\w.]+", "_", value).strip("_") or "none"
        parts.append(f"{key.rpartition('.')[-1]}-{plain}")
    if any(word.startswith("seed=") for word in overrides):
        parts.append(f"s{config['seed']}")
    return "-".join(parts)


def choices_of() -> dict[str, str]:
    """Return what the running command chose from each group; nothing outside of one."""
    if not HydraConfig.initialized():
        return {}
    choices = {str(key).partition("@")[0]: value for key, value in HydraConfig.get().runtime.choices.items()}
    return {key: str(value) for key, value in choices.items() if value is not None and not key.startswith("hydra/")}


def identity_of(cfg: DictConfig, module: LitSuperResolution) -> Identity:
    """Return the name, group and tags of a run.

    Args:
        cfg: Its configuration, derived.
        module: What is trained.

    Returns:
        The group is the task's name, in a sweep with the name of its folder; the tags are the choices of experiment,
        method, structure and budget, the levels, and those of the configuration.
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
        network=module.generator,
        adversarial=module.adversarial,
    )
    own = cfg.get("tags") or []
    own = [own] if isinstance(own, str) else [str(tag) for tag in own]
    notes = cfg.get("notes")
    return Identity(
        name=name,
        group=group,
        tags=tuple(dict.fromkeys([*tags, levels, *own])),
        notes=None if notes is None else str(notes),
    )
