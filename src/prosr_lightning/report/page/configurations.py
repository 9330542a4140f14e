"""Jobs that differ by their seed alone are one configuration; its numbers are means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from prosr_lightning.runs.scored import Run
from prosr_lightning.runs.scores import SummaryRow
from prosr_lightning.runs.trained import TrainedRun

_NOT_A_DIFFERENCE = ("seed", "task_name", "tags", "logger", "paths", "hydra", "sweep", "callbacks")
IN_LABEL = 2  # differences that a label says well enough; more stand in columns


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The mean of a number over seeds, and half the distance between its largest and its smallest value."""

    mean: float
    half_range: float
    count: int

    def around(self, digits: int) -> str:
        """Return "± 0.04", or nothing where there is one value alone.

        Examples:
            >>> Spread(mean=33.516, half_range=0.04, count=3).around(2)
            '± 0.04'
        """
        return "" if self.count == 1 else f"± {self.half_range:.{digits}f}"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Jobs that differ by their seed alone.

    Attributes:
        label: What a person calls it: the values in which it differs from the others.
        values: Those values, in the order of the sweep's differing keys.
        jobs: At least one.
    """

    label: str
    values: tuple[str, ...]
    jobs: tuple[TrainedRun, ...]

    @property
    def scored(self) -> tuple[TrainedRun, ...]:
        """The jobs with scores by the convention of the first."""
        scored = [job for job in self.jobs if job.run is not None]
        return tuple(job for job in scored if convention(job) == convention(scored[0]))

    def spread(self, number: Callable[[TrainedRun], float | None]) -> Spread | None:
        """Return the spread of a number over the jobs that have it; None if none has."""
        return spread(number(job) for job in self.jobs)

    def mean_run(self) -> Run | None:
        """Return a run whose scores are the means over the scored jobs, at the sets and scales that all of them have.

        Its name is left open, so that it can take its place in the paper's tables; among rows of the same name the
        label tells it apart.
        """
        runs = [job.run for job in self.scored if job.run is not None]
        if not runs:
            return None
        shared = [key for key in runs[0].scores if all(key in run.scores for run in runs)]
        training = runs[0].training
        return replace(
            runs[0],
            run_folder=Path(self.label.replace("/", "_")),
            training=training if training is None else replace(training, seed=None),
            scores={key: _mean_score([run.scores[key] for run in runs]) for key in shared},
        )


def convention(job: TrainedRun) -> tuple[str, str, str]:
    """Return what the scores of a job must share with those beside them."""
    if job.run is None:
        return ("", "", "")
    info = job.run.info
    return (info.protocol.describe(), info.protocol.bicubic_rounding, info.lr_images)


def spread(numbers: Iterable[float | None]) -> Spread | None:
    """Return mean and half range of the numbers that are there; None if none is.

    Examples:
        >>> spread([30.0, None, 31.0])
        Spread(mean=30.5, half_range=0.5, count=2)
    """
    known = [number for number in numbers if number is not None and math.isfinite(number)]
    if not known:
        return None
    return Spread(mean=fmean(known), half_range=(max(known) - min(known)) / 2, count=len(known))


def differing_keys(jobs: Sequence[TrainedRun]) -> list[str]:
    """Return the keys in which the command lines of jobs differ, in the order they stand there; never the seed.

    A key that only some jobs name counts only if its value is another than theirs.
    """
    keys = dict.fromkeys(key for job in jobs for key in job.record.words)
    known = [job for job in jobs if job.record.words] or list(jobs)
    return [
        key
        for key in keys
        if key.partition(".")[0].partition("@")[0] not in _NOT_A_DIFFERENCE
        and len({job.record.value(key) for job in known}) > 1
    ]


def group_jobs(jobs: Sequence[TrainedRun], keys: Sequence[str]) -> list[Configuration]:
    """Put the jobs that differ by their seed alone together, in the order of their first.

    Returns:
        The configurations. Where more than `IN_LABEL` keys differ, a label is the name that the training gave the run.
        Without a difference, jobs of the same name (but for their seed) belong together.
    """
    groups: dict[tuple[str, ...], list[TrainedRun]] = {}
    for job in jobs:
        values = tuple(job.record.value(key) for key in keys)
        groups.setdefault(values if any(values) else (*values, _name(job)), []).append(job)
    names = [_name(members[0]) for members in groups.values()]
    named = len(keys) > IN_LABEL and len(set(names)) == len(names)
    configurations: list[Configuration] = []
    for values, members in groups.items():
        own = values[: len(keys)]
        label = _label(keys, own) if any(own) and not named else _name(members[0])
        if any(other.label == label for other in configurations):
            label = f"{label} ({members[0].title})"
        configurations.append(Configuration(label=label, values=own, jobs=tuple(members)))
    return configurations


def short_keys(keys: Sequence[str]) -> list[str]:
    """Return the last part of each key, or all of it where that is not unique.

    Examples:
        >>> short_keys(["model.generator.fusion", "data.crop", "levels"])
        ['fusion', 'crop', 'levels']
    """
    last = [key.rpartition(".")[-1] for key in keys]
    return [short if last.count(short) == 1 else key for short, key in zip(last, keys, strict=True)]


def _label(keys: Sequence[str], values: Sequence[str]) -> str:
    """Words speak for themselves, numbers need their key: "memory, depth 4"."""
    parts = []
    for key, value in zip(short_keys(keys), values, strict=True):
        speaks = value[:1].isalpha() and value.lower() not in ("true", "false", "null", "none")
        parts += [value if speaks else f"{key} {value}"] if value else []
    return ", ".join(parts)


def _name(job: TrainedRun) -> str:
    if job.record.name:
        return job.record.name.removesuffix(f"-s{job.record.seed}")
    return job.title if job.run is None else job.run.label


def _mean_score(scores: Sequence[SummaryRow]) -> SummaryRow:
    seconds = spread(score.seconds for score in scores)
    return replace(
        scores[0],
        psnr_db=fmean(score.psnr_db for score in scores),
        ssim=fmean(score.ssim for score in scores),
        seconds=math.nan if seconds is None else seconds.mean,
    )
