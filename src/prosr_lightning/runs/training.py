"""What a run folder says of its training: its record, completed from Hydra's files where it has none or is older."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from prosr_lightning.errors import DataError
from prosr_lightning.runs.record import RunRecord, read_record

HYDRA = ".hydra"


def read_training(folder: Path, read: Callable[[Path], RunRecord | None] = read_record) -> RunRecord | None:
    """Read how the network of a run folder was built and trained.

    Args:
        folder: Of a training run.
        read: Reads the record; another one may go on where that is damaged.

    Returns:
        The record; "unfinished" where the run has left none. None where the folder is no training run's.

    Raises:
        DataError: If the record or the configuration cannot be read.
    """
    record = read(folder)
    if record is not None and record.config:
        return record
    config = _plain(_load(folder / HYDRA / "config.yaml"))
    generator = (config.get("model") or {}).get("generator")
    if not isinstance(generator, dict):
        return record  # another command's folder, such as that of evaluate
    record = record or RunRecord(status="unfinished", name="")
    seed, scale = config.get("seed"), config.get("scale")
    record = replace(
        record,
        overrides=record.overrides or tuple(map(str, _load(folder / HYDRA / "overrides.yaml"))),
        task=record.task or str(config.get("task_name") or ""),
        seed=seed if record.seed is None and isinstance(seed, int) else record.seed,
        architecture=generator,
        levels=record.levels or tuple(config.get("levels") or ()),
        config=config,
        choices=_plain(OmegaConf.select(_load(folder / HYDRA / "hydra.yaml"), "hydra.runtime.choices") or {}),
    )
    network = record.build()
    if isinstance(scale, int) and network is not None:  # replaces the levels by those that the method learns for it
        record = replace(record, levels=network.training_levels(scale))
    own = str(generator.get("_target_", "")).rpartition(".")[-1] if network is None else network.title
    return replace(record, method="ProSRGAN" if config["model"].get("discriminator") else own)


def _load(path: Path) -> Any:  # noqa: ANN401  # a DictConfig or a ListConfig
    """Return what a file of Hydra holds; nothing where it is missing."""
    if not path.is_file():
        return OmegaConf.create()
    try:
        return OmegaConf.load(path)
    except Exception as error:  # YAML's and OmegaConf's errors have no common base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} must be a run's configuration, but: {reason}; repair it.") from error


def _plain(node: Any) -> Any:  # noqa: ANN401  # plain values
    """Return plain values, without those that only Hydra itself can resolve."""
    if isinstance(node, DictConfig):
        values = {}
        for key in node:
            with suppress(Exception):  # OmegaConf's errors of several kinds
                values[str(key)] = _plain(node[key])
        return values
    return [_plain(value) for value in node] if isinstance(node, ListConfig) else node
