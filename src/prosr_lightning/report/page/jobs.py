"""The jobs of a sweep: their folders, read as far as they can be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from prosr_lightning.errors import DataError
from prosr_lightning.runs.log import METRICS, Progress, read_progress
from prosr_lightning.runs.record import FILE_NAME, RunRecord, read_record
from prosr_lightning.runs.scored import Run, read_runs
from prosr_lightning.runs.training import Training, read_training

_DEEPEST = 3  # task/multiruns/time/job: a folder above several sweeps will do
_START = "start ("  # what train calls the weights that a run started from
_HIDDEN = (".", "_")
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a sweep.

    Attributes:
        folder: The run folder.
        title: Its place below the folder that was named, for a person to find it.
        record: What the run came to; None where it has not said so.
        overrides: The words of its command line by key.
        config: Its composed configuration; empty where there is none.
        choices: The chosen option of each configuration group.
        training: How its network was built; None where the configuration does not say.
        run: The scores of its network; None without.
        bicubic: The scores of bicubic beside it; None without.
        progress: Its validation; None without a log.
        problems: What could not be read.
    """

    folder: Path
    title: str
    record: RunRecord | None = None
    overrides: Mapping[str, str]
    config: DictConfig
    choices: Mapping[str, str]
    training: Training | None = None
    run: Run | None = None
    bicubic: Run | None = None
    progress: Progress | None = None
    problems: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """The record's: "finished", "stopped" or "failed"; without a record "scored", or "unfinished"."""
        if self.record is not None:
            return self.record.status
        return "unfinished" if self.run is None else "scored"

    @property
    def seed(self) -> int | None:
        """Of weights, patches and augmentation."""
        if self.record is not None and self.record.seed is not None:
            return self.record.seed
        seed = self.setting("seed")
        return seed if isinstance(seed, int) else None

    @property
    def parameters(self) -> int | None:
        """Learned values of the network."""
        if self.record is not None and self.record.parameters is not None:
            return self.record.parameters
        return None if self.run is None else self.run.parameters

    @property
    def minutes(self) -> float | None:
        """Wall time of the training."""
        return None if self.record is None or self.record.seconds is None else self.record.seconds / 60

    @property
    def steps(self) -> int | None:
        """Updates in all."""
        if self.record is not None and self.record.steps is not None:
            return self.record.steps
        return None if self.progress is None else self.progress.steps[-1]

    def setting(self, key: str) -> Any:  # noqa: ANN401  # whatever the configuration holds
        """Return a value of the composed configuration, or None; what only Hydra can resolve counts as absent."""
        try:
            return OmegaConf.select(self.config, key)
        except Exception:  # noqa: BLE001  # OmegaConf's errors have no common base
            return None

    def value(self, key: str) -> str:
        """Return what a key was set to, by the command line, the configuration or the choice of a group."""
        if key in self.overrides:
            return self.overrides[key]
        if key in self.choices:
            return self.choices[key]
        found = self.setting(key)
        return "" if found is None or isinstance(found, DictConfig) else _plain_value(found)


def find_jobs(folders: Sequence[Path]) -> list[Job]:
    """Read the jobs of sweeps.

    Args:
        folders: Each a multirun, a folder above several, or a single run.

    Returns:
        At least one job; the same folder counts once. What cannot be read stands in `Job.problems`.

    Raises:
        DataError: If a folder is missing or holds no run.
    """
    found: dict[Path, str] = {}
    for folder in folders:
        here = list(_run_folders(folder, 0))
        if not here:
            state = "found none" if folder.is_dir() else "but there is no such folder"
            raise DataError(
                f"{folder} must hold the runs of a sweep (folders with {FILE_NAME}, .hydra or scores), {state}; "
                "name the multirun that prosr_lightning.train -m printed, or correct the path."
            )
        for path in here:
            inside = path.relative_to(folder).as_posix() if path != folder else path.name
            title = f"{folder.name}/{inside}" if len(folders) > 1 and path != folder else inside
            found.setdefault(path.resolve(), title)
    return [_read_job(path, title) for path, title in found.items()]


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the run folders below a folder, the tenth job after the ninth."""
    if _is_run(folder):
        yield folder
    elif depth < _DEEPEST and folder.is_dir():
        children = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(_HIDDEN)]
        for child in sorted(children, key=lambda path: _natural(path.name)):
            yield from _run_folders(child, depth + 1)


def _is_run(folder: Path) -> bool:
    marks = (FILE_NAME, ".hydra", str(METRICS), "summary.csv")
    return any((folder / mark).exists() for mark in marks) or any(folder.glob("test/*/summary.csv"))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _read_job(folder: Path, title: str) -> Job:
    """Read everything that can be read; each part that cannot be leaves a problem."""
    problems: list[str] = []

    def attempt(read: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return read()
        except DataError as error:
            if str(error) not in problems:
                problems.append(str(error))
            return otherwise

    record = attempt(lambda: read_record(folder), None)
    nothing: tuple[Run | None, Run | None] = (None, None)
    run, bicubic = attempt(lambda: _scores(folder), nothing)
    return Job(
        folder=folder,
        title=title,
        record=record,
        overrides=attempt(lambda: _words(folder, record), {}),
        config=attempt(lambda: _load(folder / ".hydra" / "config.yaml"), DictConfig({})),
        choices=attempt(lambda: _choices(folder), {}),
        training=attempt(lambda: read_training(folder), None) if run is None else run.training,
        run=run,
        bicubic=bicubic,
        progress=attempt(lambda: read_progress(folder, None if record is None else record.seconds), None),
        problems=tuple(problems),
    )


def _choices(folder: Path) -> dict[str, str]:
    chosen = OmegaConf.select(_load(folder / ".hydra" / "hydra.yaml"), "hydra.runtime.choices") or {}
    return {str(key): str(value) for key, value in chosen.items()}


def _scores(folder: Path) -> tuple[Run | None, Run | None]:
    """Return the scores of the trained network and of bicubic."""
    if not (folder / "summary.csv").is_file() and not any(folder.glob("test/*/summary.csv")):
        return None, None
    runs = read_runs([str(folder)])
    networks = [one for one in runs if not one.is_bicubic and not one.method.startswith(_START)]
    bicubic = [one for one in runs if one.is_bicubic]
    return (networks[-1] if networks else None), (bicubic[0] if bicubic else None)


def _words(folder: Path, record: RunRecord | None) -> dict[str, str]:
    path = folder / ".hydra" / "overrides.yaml"
    words: Sequence[str] = () if record is None else record.overrides
    if not words and path.is_file():
        try:
            words = [str(word) for word in OmegaConf.load(path)]
        except Exception as error:  # YAML's and OmegaConf's errors have no common base
            raise DataError(f"{path} must list the words of a command line, but: {error}; repair it.") from error
    pairs = (str(word).lstrip("+~").partition("=") for word in words)
    return {key: value.replace(" ", "") for key, _, value in pairs}


def _load(path: Path) -> DictConfig:
    """Return a configuration, empty where the file is missing."""
    if not path.is_file():
        return DictConfig({})
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # YAML's and OmegaConf's errors have no common base
        raise DataError(f"{path} must be a run's configuration, but it cannot be read: {error}; repair it.") from error
    return loaded if isinstance(loaded, DictConfig) else DictConfig({})


def _plain_value(value: object) -> str:
    return str(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value).replace(" ", "")
