"""`sweep.resume=true`: which earlier sweep a repeated command goes on with, and whether it may.

A sweep is that of the same command if its jobs have the same overrides, one after the other; paths, the progress bar
and `sweep.resume` itself do not count, and values may have been added to or taken from the end. The newest such sweep
below `<log_dir>/<task_name>/multiruns/` is gone on with; if there is none, a new one begins. `hydra.sweep.dir=DIR`
names the folder instead, and DIR must then be empty or hold a sweep of the same command.

A job that finished counts as done only if its whole configuration is the same as now, files in `conf/` included, and
one that was stopped goes on only then; else the command is refused before anything is touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.schema import leaves
from prosr_lightning.config.tree import REPEATED
from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.runs.folder import LAST
from prosr_lightning.runs.record import readable_record
from prosr_lightning.runs.sweeps import JOB, SweepJob, job_folders, read_command, read_job


def configuration_of(cfg: DictConfig) -> dict[str, Any]:
    """Return a composed configuration as JSON gives it back, without Hydra's own."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    return cast(dict[str, Any], json.loads(json.dumps(plain, default=str)))


def difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return the first key that differs, with both values; None if the configurations are the same.

    Examples:
        >>> difference({"depth": 4, "sweep": {"resume": False}}, {"depth": 6, "sweep": {"resume": True}})
        'depth was 4, is 6'
    """
    before, after = comparable(earlier), comparable(now)
    for key in dict.fromkeys((*before, *after)):
        if not _is_ignored(key) and before.get(key) != after.get(key):
            return f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
    return None


def command_words(config: DictConfig) -> list[str]:
    """Return what a sweep was asked for: the sweeper's own parameters and the words of the command line."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    return [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]


def swept_keys(words: Sequence[str]) -> frozenset[str]:
    """Return the keys that get several values in a command.

    Examples:
        >>> swept_keys(["seed=1", "depth=4,6"])
        frozenset({'depth'})
    """
    parsed = OverridesParser.create().parse_overrides(list(words))
    return frozenset(word.key_or_group for word in parsed if word.is_sweep_override())


def title(number: int, overrides: Sequence[str], words: Sequence[str]) -> str:
    """Return how a job is called: its number, and what of it the command sweeps.

    Examples:
        >>> title(1, ["seed=0", "depth=6"], ["seed=0", "depth=4,6"])
        'job 1 (depth=6)'
    """
    keys = swept_keys(words)
    swept = ", ".join(word for word in overrides if word.partition("=")[0].lstrip("+") in keys)
    return f"job {number}" + (f" ({swept})" if swept else "")


def hindrance(earlier: SweepJob | None, now: SweepJob, last: Path) -> str | None:
    """Return why an earlier attempt cannot be continued from its checkpoint; None if it can."""
    if earlier is None:
        return f"{JOB} is missing"
    if (differs := difference(earlier.configuration, now.configuration)) is not None:
        return differs
    from prosr_lightning.networks.weights import load_network  # noqa: PLC0415  # imports torch

    try:
        load_network(last, trust=[now.configuration["model"]["generator"]["_target_"]])
    except CheckpointError:
        return f"{last} is damaged"
    return None


def earlier_sweep(config: DictConfig) -> Path | None:
    """Return the newest sweep of the same command.

    Returns:
        None if there is none.
    """
    words = command_words(config)
    root = Path(config.hydra.sweep.dir).parent
    folders = sorted((path for path in root.iterdir() if path.is_dir()), reverse=True) if root.is_dir() else []
    return next((folder for folder in folders if _same_command(config, read_command(folder), words)), None)


def require_same_command(config: DictConfig, sweep: Path) -> None:
    """Refuse to put the jobs of one command into the folder of another's.

    Raises:
        ConfigError: If the folder holds jobs of another command.
    """
    if job_folders(sweep) and not _same_command(config, read_command(sweep), command_words(config)):
        raise ConfigError(
            f"hydra.sweep.dir must be empty or hold a sweep of the same command, got {sweep} with the jobs of "
            f"{' '.join(read_command(sweep) or ['an unknown command'])!r}; choose another folder."
        )


def require_same_jobs(config: DictConfig, sweep: Path) -> None:
    """Refuse to go on if a job that is finished, or can be continued, was not what it would be now.

    Raises:
        ConfigError: With the job and the first key that differs.
    """
    jobs = jobs_of(config, command_words(config))
    for folder in job_folders(sweep):
        job, status, number = read_job(folder), _status(folder), int(folder.name)
        if job is None or status is None or jobs is None or number >= len(jobs):
            continue
        composed = composed_job(config, jobs[number])
        if (differs := difference(job.configuration, configuration_of(composed))) is not None:
            raise ConfigError(
                f"The {status} job {number} must have the configuration that it had, got another: {differs}. Leave "
                f"sweep.resume out to start a new sweep, or remove {folder} to run this job again."
            )


def _status(folder: Path) -> str | None:
    """Return "finished" or "stopped" of a job whose work would be lost; None of one that is run again anyway."""
    record = readable_record(folder)
    if record is not None and record.status == "finished":
        return record.status
    stopped = record is None or record.status == "stopped"
    return "stopped" if stopped and (folder / LAST).is_file() else None


def _same_command(config: DictConfig, earlier: Sequence[str] | None, words: Sequence[str]) -> bool:
    """Tell whether two commands have the same jobs, as far as both go."""
    if earlier is None:
        return False
    before, now = jobs_of(config, earlier), jobs_of(config, words)
    if before is None or now is None:  # a sweeper that decides as it goes
        return _counted(earlier) == _counted(words)
    return all(_counted(job) == _counted(other) for job, other in zip(before, now, strict=False))


def composed_job(config: DictConfig, words: Sequence[str]) -> DictConfig:
    """Compose the configuration of one job of a sweep."""
    return _config_loader().load_sweep_config(config, list(words))


def jobs_of(config: DictConfig, words: Sequence[str]) -> list[list[str]] | None:
    """Return the overrides of each job of the basic sweeper; None for another."""
    if not str(config.hydra.sweeper._target_).endswith(".BasicSweeper"):
        return None
    parsed = OverridesParser.create(config_loader=_config_loader()).parse_overrides(list(words))
    return BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]


def _counted(words: Sequence[str]) -> frozenset[str]:
    return frozenset(word for word in words if not _is_ignored(word.lstrip("+~").partition("=")[0]))


def comparable(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves; of what this package has, its name without the module, which may have moved meanwhile."""
    ours = "prosr_lightning."
    return {
        key: f"{ours}{value.rpartition('.')[2]}" if key.endswith("_target_") and str(value).startswith(ours) else value
        for key, value in leaves(configuration, "")
    }


def _is_ignored(key: str) -> bool:
    return any(key == part or key.startswith((f"{part}.", f"{part}@")) for part in REPEATED)


def _config_loader() -> ConfigLoader:
    return GlobalHydra.instance().config_loader()
