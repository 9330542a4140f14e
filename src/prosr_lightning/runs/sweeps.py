"""The folder of a sweep: one numbered folder for each job, and `sweep.csv`, a row for each of them.

Each job's row comes from the `record.json` in its folder; a job that was begun and left none is "unfinished": it runs,
or was killed. The table is written anew after each job, whole or not at all, also where jobs run side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prosr_lightning.errors import DataError
from prosr_lightning.imaging.io import write_file
from prosr_lightning.runs.folder import lock_folder, take_lock
from prosr_lightning.runs.record import RunRecord, read_record
from prosr_lightning.tables import csv_text

TABLE = "sweep.csv"
COMMAND = "sweep.json"  # the words of the command line, in the sweep's folder
JOB = "job.json"  # overrides and configuration, in the job's folder

_FIRST = ("job", "status", "name", "overrides", "parameters", "layers", "levels", "seed", "steps", "samples")
_TIMES = ("seconds", "cpu_seconds")
_END = ("error", "folder")
_held: list[FileLock] = []  # of the sweep that this process runs; the system gives them back when it ends


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """What a job was started with.

    Attributes:
        overrides: Its words, as the sweeper put them together.
        configuration: What they composed to, interpolations as they are written.
    """

    overrides: tuple[str, ...]
    configuration: Mapping[str, Any]


def hold(sweep: Path) -> None:
    """Make the folder of a sweep and keep other processes from running the same jobs, until this one ends.

    Where the file system has no locks, nothing keeps them from it.

    Raises:
        ConfigError: If another process runs the sweep.
    """
    while _held:  # of an earlier sweep of this process
        _held.pop().release()
    if (lock := lock_folder(sweep, "The sweep in")) is not None:
        _held.append(lock)


def job_folders(sweep: Path) -> list[Path]:
    """Return the folders of the jobs that were begun, by number."""
    folders = [path for path in sweep.iterdir() if path.name.isdecimal() and path.is_dir()] if sweep.is_dir() else []
    return sorted(folders, key=lambda path: int(path.name))


def read_job(folder: Path) -> SweepJob | None:
    """Read what a job was started with.

    Returns:
        None if there is no such file.

    Raises:
        DataError: If it holds something else.
    """
    path = folder / JOB
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return SweepJob(overrides=tuple(values["overrides"]), configuration=dict(values["configuration"]))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} must say how a job was started, but: {error!r}; remove {folder}.") from error


def read_command(sweep: Path) -> list[str] | None:
    """Read the words that a sweep was started with; None if there is no readable file of them."""
    try:
        return [str(word) for word in json.loads((sweep / COMMAND).read_text(encoding="utf-8"))["command"]]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def sweep_rows(sweep: Path) -> list[dict[str, str]]:
    """Return the table of a sweep.

    Returns:
        A row for each job that was begun, by number; all have the same columns: job, status (finished, stopped, failed
        or unfinished), name, overrides, parameters, layers, levels, seed, steps, samples, seconds, cpu_seconds, each of
        `val/...`, each of `test/...`, error, folder (relative to the sweep's).
    """
    rows = [_row(folder) for folder in job_folders(sweep)]
    scores = sorted({key for row in rows for key in row if key.startswith(("val/", "test/"))}, key=_place)
    columns = (*_FIRST, *_TIMES, *scores, *_END)
    return [{key: row.get(key, "") for key in columns} for row in rows]


def write_table(sweep: Path) -> Path | None:
    """Write `sweep.csv` from the records of the jobs.

    Returns:
        The path of the table; None if no job was begun.

    Raises:
        StorageError: If it cannot be written.
    """
    path, lock = sweep / TABLE, None
    with suppress(Timeout):  # the table of the job that keeps the lock so long is whole nevertheless
        lock = take_lock(sweep / f".{TABLE}.lock", timeout=60)
    try:
        rows = sweep_rows(sweep)
        if not rows:
            return None
        write_file(path, csv_text(rows))
    finally:
        if lock is not None:
            lock.release()
    return path


def _row(folder: Path) -> dict[str, str]:
    row = {"job": folder.name, "status": "unfinished", "folder": folder.name}
    try:
        job, record = read_job(folder), read_record(folder)
    except DataError as error:
        return row | {"error": str(error)}
    if record is None:
        return row | {"overrides": " ".join(job.overrides if job is not None else ())}
    return row | _of_record(record)


def _of_record(record: RunRecord) -> dict[str, str]:
    numbers = ("parameters", "layers", "seed", "steps", "samples", *_TIMES)
    return {
        "status": record.status,
        "name": record.name,
        "overrides": " ".join(record.overrides),
        "levels": "_".join(f"x{level}" for level in record.levels),
        "error": " ".join(record.error.split()),
        **{key: _number(getattr(record, key)) for key in numbers},
        **{f"val/{key.removeprefix('val/')}": _number(value) for key, value in record.val.items()},
        **{f"test/{key.removeprefix('test/')}": _number(value) for key, value in record.test.items()},
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) and abs(value) < 1e5 else f"{value:.0f}"


def _place(key: str) -> tuple[bool, int, str]:
    """Order scores: validation first, its means before single sets, factors by size."""
    parts = [f"{int(part[1:]):04}" if part[:1] == "x" and part[1:].isdecimal() else part for part in key.split("/")]
    return key.startswith("test/"), len(parts), "/".join(parts)
