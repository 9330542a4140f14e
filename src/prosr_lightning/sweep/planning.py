"""`sweep.dry_run=true`: say what each job of a sweep would do, check its configuration, and run none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.schema import make_lists, validate
from prosr_lightning.errors import ConfigError, ProSRError
from prosr_lightning.runs.folder import LAST
from prosr_lightning.runs.record import readable_record
from prosr_lightning.runs.sweeps import SweepJob, read_job
from prosr_lightning.sweep import resuming


def plan(config: DictConfig, sweep: Path) -> Iterator[str]:
    """Say of each job whether it begins, goes on or is skipped.

    Args:
        config: Of the whole sweep, with Hydra's own.
        sweep: Where its jobs are, or would be.

    Yields:
        A line for each job, and one about all.

    Raises:
        ConfigError: If the sweeper proposes its jobs one by one.
    """
    words = resuming.command_words(config)
    jobs = resuming.jobs_of(config, words)
    if jobs is None:
        raise ConfigError(
            "sweep.dry_run shows jobs that are known beforehand, got a sweeper that proposes one after the other; "
            "leave it out."
        )
    for number, overrides in enumerate(jobs):
        outlook = _outlook(config, overrides, sweep / str(number))
        yield f"{resuming.title(number, overrides, words)}: {outlook}"
    yield f"{len(jobs)} jobs in {sweep}; sweep.dry_run=true runs none of them."


def _outlook(config: DictConfig, overrides: Sequence[str], folder: Path) -> str:
    composed = resuming.composed_job(config, overrides)
    now = SweepJob(overrides=tuple(overrides), configuration=resuming.configuration_of(composed))
    cfg = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    try:
        make_lists(cfg)
        validate(cfg, "train")
    except ProSRError as error:
        return f"is refused: {error}"
    record = readable_record(folder)
    if record is not None and record.status == "finished":
        return "finished earlier, is skipped"
    last = folder / LAST
    if not last.is_file():
        return "begins"
    hindrance = resuming.hindrance(read_job(folder), now, last)
    return f"goes on from {last}" if hindrance is None else f"begins again, because {hindrance}"
