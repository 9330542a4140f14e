"""All that the runs of sweeps have left in their folders, read as far as it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from prosr_lightning.errors import DataError
from prosr_lightning.runs.folder import LOG
from prosr_lightning.runs.log import Progress, read_progress
from prosr_lightning.runs.record import FILE_NAME, RunRecord, read_record
from prosr_lightning.runs.scored import Run, by_number, read_run, scored_folders
from prosr_lightning.runs.scores import SUMMARY
from prosr_lightning.runs.training import HYDRA, read_training

_DEEPEST = 3  # task/multiruns/time/job: a folder above several sweeps will do
_START = "start ("  # what train calls the weights that a run started from
_HIDDEN = (".", "_")
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """One run of a sweep.

    Attributes:
        folder: The run folder.
        title: Its place below the folder that was named, for a person to find it.
        record: What the run came to; "scored" or "unfinished" where it has not said so.
        run: The scores of its network; None without.
        bicubic: The scores of bicubic beside it; None without.
        progress: Its validation; None without a log.
        problems: What could not be read.
    """

    folder: Path
    title: str
    record: RunRecord
    run: Run | None = None
    bicubic: Run | None = None
    progress: Progress | None = None
    problems: tuple[str, ...] = ()

    @property
    def parameters(self) -> int | None:
        """Learned values of the network."""
        if self.record.parameters is not None:
            return self.record.parameters
        return None if self.run is None else self.run.info.parameters

    @property
    def steps(self) -> int | None:
        """Updates in all."""
        if self.record.steps is not None:
            return self.record.steps
        return None if self.progress is None else self.progress.steps[-1]


def read_folders(folders: Sequence[Path]) -> list[TrainedRun]:
    """Read the runs of sweeps.

    Args:
        folders: Each a multirun, a folder above several, or a single run.

    Returns:
        At least one run; the same folder counts once. What cannot be read stands in `TrainedRun.problems`.

    Raises:
        DataError: If a folder is missing or holds no run.
    """
    titles: dict[Path, str] = {}
    for folder in folders:
        here = list(_run_folders(folder, 0))
        if not here:
            state = "found none" if folder.is_dir() else "but there is no such folder"
            raise DataError(
                f"{folder} must hold the runs of a sweep (folders with {FILE_NAME}, {HYDRA} or scores), {state}; "
                "name the multirun that prosr_lightning.train -m printed, or correct the path."
            )
        for path in here:
            inside = path.relative_to(folder).as_posix() if path != folder else path.name
            title = f"{folder.name}/{inside}" if len(folders) > 1 and path != folder else inside
            titles.setdefault(path.resolve(), title)
    return [_read_folder(path, title) for path, title in titles.items()]


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the run folders below a folder, the tenth job after the ninth."""
    if any((folder / mark).exists() for mark in (FILE_NAME, HYDRA, LOG)) or _scores(folder):
        yield folder
    elif depth < _DEEPEST and folder.is_dir():
        children = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(_HIDDEN)]
        for child in sorted(children, key=by_number):
            yield from _run_folders(child, depth + 1)


def _scores(folder: Path) -> list[Path]:
    """Return where the scores of this run are, not those of runs below it."""
    return scored_folders(folder) if (folder / SUMMARY).is_file() or any(folder.glob(f"test/*/{SUMMARY}")) else []


def _read_folder(folder: Path, title: str) -> TrainedRun:
    """Read everything that can be read; each part that cannot be leaves a problem."""
    problems: dict[str, None] = {}

    def attempt(read: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return read()
        except DataError as error:
            problems[str(error)] = None
            return otherwise

    def training_of(path: Path) -> RunRecord | None:
        own = attempt(lambda: read_record(path), None)
        return attempt(lambda: read_training(path, lambda _: own), own)

    record = training_of(folder)
    nothing: list[Run] = []
    runs = attempt(lambda: [read_run(path, training_of=training_of) for path in _scores(folder)], nothing)
    networks = [run for run in runs if not run.is_bicubic and not run.info.method.startswith(_START)]
    status = "scored" if networks else "unfinished"
    if record is None:
        record = RunRecord(status=status, name="")
    elif record.status == "unfinished":
        record = replace(record, status=status)
    return TrainedRun(
        folder=folder,
        title=title,
        record=record,
        run=networks[-1] if networks else None,
        bicubic=next((run for run in runs if run.is_bicubic), None),
        progress=attempt(lambda: read_progress(folder, record.seconds), None),
        problems=tuple(problems),
    )
