"""Sweeps: `python -m prosr_lightning.train -m depth=4,6,8`.

Every job has a folder and ends as a row of `sweep.csv`, also one that fails, which does not stop the others; the
command then exits with 1. Ctrl-C and SIGTERM save the running job and stop the sweep; under a launcher that runs jobs
elsewhere, a signal to one job stops that job alone. `sweep.resume=true` skips what finished and goes on with what did
not, see `resuming`; `sweep.dry_run=true` says which are which, see `planning`. A job uses one device.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, flag_override

from prosr_lightning.config.messages import user_message
from prosr_lightning.console import answer, exit_code_of_stop, run_reporting, say
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import write_json
from prosr_lightning.runs import sweeps
from prosr_lightning.runs.folder import LAST, clear_attempt
from prosr_lightning.runs.record import RunRecord, read_record, readable_record, write_record
from prosr_lightning.sweep import planning, resuming
from prosr_lightning.sweep.devices import own_gpu, require_one_device
from prosr_lightning.words import quoted

REFUSED = 2  # exit code of a sweep of which no job was begun


class SweepFolder(Callback):
    """Hydra's callback that chooses the folder of a sweep and sums it up at the end."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401  # Hydra's signature
        """Refuse what cannot work, and find the sweep to go on with."""
        if "sweep" in config and run_reporting(lambda: _prepare(config), user_message):
            raise SystemExit(REFUSED)  # Hydra turns other exceptions of a callback into warnings

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401  # Hydra's signature
        """Say where the table is and how many jobs did not finish."""
        if "sweep" in config and (code := _sum_up(Path(config.hydra.sweep.dir))):
            raise SystemExit(code)


@dataclass(frozen=True, kw_only=True)
class _Here:
    """The job that this process runs."""

    folder: Path
    sweep: Path
    job: sweeps.SweepJob
    title: str  # job 1 (depth=6)
    stops_others: bool


def run_sweep_job(cfg: DictConfig, task: Callable[[], Any]) -> Any:  # noqa: ANN401  # the task's own type
    """Run one job unless it finished earlier, keep what became of it, and bring the sweep's table up to date.

    Args:
        cfg: Of the job; `ckpt_path` is set where an earlier attempt can be continued.
        task: Validates and runs.

    Returns:
        What the task returns, or the best value of an earlier run; None if the job failed.

    Raises:
        SystemExit: If the job was stopped by a signal, which stops the sweep.
    """
    here = _here(cfg)
    try:
        earlier, record = sweeps.read_job(here.folder), readable_record(here.folder)
        if earlier is not None and record is not None and record.status == "finished":
            _refuse_another(earlier, here)
            say(f"{here.title}: finished earlier, skipped")
            return record.val.get("best")
        _begin(cfg, here, earlier)
        require_one_device(cfg)
        with own_gpu(cfg, here.sweep):
            value = task()
        if read_record(here.folder) is None:
            _write(cfg, here, "finished", value=value)
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # the others go on
        stopped = exit_code_of_stop(error)
        if stopped is None and isinstance(error, SystemExit):
            raise
        _after_error(cfg, here, error, stopped)
        return None
    finally:
        sweeps.write_table(here.sweep)
    return value


def _prepare(config: DictConfig) -> None:
    require_one_device(config)
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise ConfigError(
            f"A sweep must be started as one process, got WORLD_SIZE={os.environ['WORLD_SIZE']}; start it without "
            "torchrun or srun, and use hydra/launcher=joblib or submitit_slurm to run jobs side by side."
        )
    if any(word.startswith("hydra.sweep.subdir=") for word in config.hydra.overrides.hydra):
        raise ConfigError("hydra.sweep.subdir must stay the number of the job, got another; leave it out.")
    fixed = any(word.startswith("hydra.sweep.dir=") for word in config.hydra.overrides.hydra)
    sweep = Path(config.hydra.sweep.dir)
    if fixed and sweeps.job_folders(sweep) and not config.sweep.resume:
        raise ConfigError(
            f"hydra.sweep.dir must be empty for a new sweep, got {sweep} with jobs in it; sweep.resume=true goes on "
            "with them."
        )
    if config.sweep.resume:
        sweep = _resumed(config, sweep, fixed=fixed)
    if config.sweep.dry_run:
        for line in planning.plan(config, sweep):
            answer(line)
        raise SystemExit(0)
    sweeps.hold(sweep)
    words, earlier = resuming.command_words(config), sweeps.read_command(sweep)
    if earlier is None or len(" ".join(words)) > len(" ".join(earlier)):
        write_json(sweep / sweeps.COMMAND, {"command": words})


def _resumed(config: DictConfig, sweep: Path, *, fixed: bool) -> Path:
    """Return the folder to go on in, and tell Hydra and the jobs of it."""
    if fixed:
        resuming.require_same_command(config, sweep)
    elif (earlier := resuming.earlier_sweep(config)) is None:
        say(f"sweep.resume: no earlier sweep of this command in {sweep.parent}; a new one begins")
        return sweep
    else:
        sweep = earlier
        with flag_override(config, ["struct", "readonly"], [False, False]):
            config.hydra.sweep.dir = str(sweep)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(sweep)}")
    resuming.require_same_jobs(config, sweep)
    say(f"sweep.resume: going on in {sweep}")
    return sweep


def _here(cfg: DictConfig) -> _Here:
    hydra = HydraConfig.get()
    sweep, overrides = Path(hydra.sweep.dir), tuple(hydra.overrides.task)
    return _Here(
        folder=Path(hydra.runtime.output_dir),
        sweep=sweep,
        job=sweeps.SweepJob(overrides=overrides, configuration=resuming.configuration_of(cfg)),
        title=resuming.title(hydra.job.num, overrides, sweeps.read_command(sweep) or []),
        stops_others=str(hydra.launcher._target_).endswith(".BasicLauncher"),
    )


def _refuse_another(earlier: sweeps.SweepJob, here: _Here) -> None:
    """Stop before a finished job is replaced by another; only a sweeper that decides as it goes comes here with one."""
    differs = resuming.difference(earlier.configuration, here.job.configuration)
    if differs is not None:
        say(
            f"error: {here.title} must be what finished in {here.folder} to count as done, but: {differs}; give the "
            "sweeper's sampler a seed, hydra.sweeper.sampler.seed=0, in a new sweep."
        )
        raise SystemExit(1)


def _begin(cfg: DictConfig, here: _Here, earlier: sweeps.SweepJob | None) -> None:
    """Continue an earlier attempt from its last checkpoint where that has the same configuration."""
    last = here.folder / LAST
    hindrance = resuming.hindrance(earlier, here.job, last) if last.is_file() else "it has no checkpoint"
    if hindrance is None:
        cfg.ckpt_path = str(last)
        say(f"{here.title}: goes on from {last}")
    else:
        if last.is_file():
            say(f"{here.title}: begins again, because {hindrance}")
        clear_attempt(here.folder)
    (here.folder / "record.json").unlink(missing_ok=True)
    content = {"overrides": list(here.job.overrides), "configuration": dict(here.job.configuration)}
    write_json(here.folder / sweeps.JOB, content)


def _after_error(cfg: DictConfig, here: _Here, error: BaseException, stopped: int | None) -> None:
    message = user_message(error) or ("stopped by Ctrl-C" if stopped is not None else None)
    if message is None:  # a defect keeps its traceback
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
    say(f"error: {here.title}: {message}")
    if readable_record(here.folder) is None:  # it may be damaged, which may be the error itself
        _write(cfg, here, "failed" if stopped is None else "stopped", error=message)
    if stopped is not None and here.stops_others:
        say("error: The sweep was stopped; the same command with sweep.resume=true goes on with it.")
        raise SystemExit(stopped)


def _write(cfg: DictConfig, here: _Here, status: str, *, error: str = "", value: object = None) -> None:
    """Write the record of a job whose task wrote none."""
    val = {"best": float(value)} if isinstance(value, (int, float)) else {}
    write_record(
        here.folder,
        RunRecord(
            status=status,
            name=here.title.partition("(")[2].rstrip(")"),
            overrides=here.job.overrides,
            task=str(cfg.task_name),
            error=error,
            val=val,
        ),
    )


def _sum_up(sweep: Path) -> int:
    """Say what became of the jobs, and return the exit code."""
    table = sweeps.write_table(sweep)
    rows = sweeps.sweep_rows(sweep)
    open_jobs = [row["job"] for row in rows if row["status"] != "finished"]
    if not open_jobs:
        say(f"Sweep: all {len(rows)} jobs finished. Table: {table}")
        return 0
    say(
        f"error: {len(open_jobs)} of {len(rows)} jobs did not finish ({', '.join(open_jobs)}); {table} has their "
        "errors. The same command with sweep.resume=true runs them again."
    )
    return 1
