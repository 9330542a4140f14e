"""The page's own tables: what the runs cost, and what they scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prosr_lightning.report.model import Mark, mark_values
from prosr_lightning.report.page.configurations import IN_LABEL, Configuration, Spread, short_keys, spread
from prosr_lightning.report.page.jobs import Job
from prosr_lightning.report.protocols import describe_protocol
from prosr_lightning.report.published import SETS
from prosr_lightning.runs.scored import Run, Score

NOTHING = "–"  # noqa: RUF001  # a dash as typographers set it


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A number of a table, by how much it varies, how it is marked, and smaller lines below it."""

    text: str
    around: str = ""
    mark: Mark = ""
    below: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row: of a configuration, or of one of its seeds.

    Attributes:
        label: Its name.
        entries: Its numbers.
        series: The number of the configuration's colour; None for bicubic.
        seeds: How many rows of single seeds follow; 0 of those rows themselves.
        status: "" where everything is finished.
    """

    label: str
    entries: tuple[Entry, ...]
    series: int | None
    seeds: int = 0
    status: str = ""

    @property
    def is_seed(self) -> bool:
        """Whether this is one seed of the configuration above."""
        return self.seeds < 0


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table of the page: `heads` are the words (left) and the numbers (right) of its columns, below `groups`."""

    caption: str
    words: tuple[str, ...]
    groups: tuple[tuple[str, int], ...]
    heads: tuple[str, ...]
    lines: tuple[Line, ...]


def runs_grid(configurations: Sequence[Configuration], keys: Sequence[str], *, comparable: bool) -> Grid:
    """Lay out what the runs are and cost.

    Args:
        configurations: All of them.
        keys: In which they differ; a column for each where a label alone would be too long.
        comparable: Whether all runs validated on the same, so that the best can be marked.
    """
    shown = tuple(short_keys(keys)) if len(keys) > IN_LABEL else ()
    several = any(len(one.jobs) > 1 for one in configurations)
    best = [one.spread(best_validation) for one in configurations]
    marks = mark_values([round(one.mean, 2) if one is not None and comparable else None for one in best])
    lines: list[Line] = []
    for number, one in enumerate(configurations):
        values = one.values if shown else ()
        numbers = _costs(one.spread, best[number], marks[number])
        count = len(one.jobs)
        lines.append(
            _line(one, number, (*map(_word, values), *([Entry(text=str(count))] if several else []), *numbers))
        )
        for job in one.jobs if count > 1 else ():
            own = _costs(_single(job), spread([best_validation(job)]), "")
            entries = (*(Entry(text="") for _ in values), Entry(text=""), *own)
            lines.append(Line(label=_seed_label(job), entries=entries, series=number, seeds=-1, status=_status([job])))
    heads = ("Parameters", "Layers", "Updates", "Minutes", "Validation PSNR")
    return Grid(
        caption=(
            "Validation PSNR in dB is the best val/psnr of a run, which is that of the weights kept. "
            + ("" if comparable else "The runs did not validate at the same sets and scales, so none is marked best. ")
            + _of_seeds(several)
        ),
        words=shown,
        groups=(),
        heads=(*(("Seeds",) if several else ()), *heads),
        lines=tuple(lines),
    )


def scores_grid(configurations: Sequence[Configuration], numbers: Sequence[int]) -> Grid | None:
    """Lay out PSNR, SSIM and gain over bicubic of configurations that were scored alike.

    Args:
        configurations: Scored by one convention.
        numbers: Of their colours.

    Returns:
        None where nothing was scored.
    """
    means = [(one, number, one.mean_run()) for one, number in zip(configurations, numbers, strict=True)]
    scored = [(one, number, run) for one, number, run in means if run is not None]
    if not scored:
        return None
    bicubic = bicubic_run([one for one, _, _ in scored])
    places = sorted({place for _, _, run in scored for place in run.scores}, key=place_order)
    lines: list[Line] = []
    if bicubic is not None:
        lines.append(
            Line(label="Bicubic", series=None, entries=tuple(_entry(bicubic.scores.get(p), None) for p in places))
        )
    columns = []
    for place in places:
        marks = mark_values([round(r.scores[place].psnr_db, 2) if place in r.scores else None for _, _, r in scored])
        columns.append(marks)
    for row, (one, number, run) in enumerate(scored):
        entries = []
        for place, marks in zip(places, columns, strict=True):
            parts = [job.run.scores[place] for job in one.scored if job.run and place in job.run.scores]
            if place not in run.scores:
                entries.append(Entry(text=NOTHING))
                continue
            psnr = spread(part.psnr_db for part in parts)
            reference = None if bicubic is None else bicubic.scores.get(place)
            entries.append(_entry(run.scores[place], reference, psnr, marks[row]))
        lines.append(_line(one, number, tuple(entries)))
        lines += [_seed_line(job, number, places, bicubic) for job in one.scored if len(one.jobs) > 1]
    scales = list(dict.fromkeys(scale for _, scale in places))
    several = any(len(one.scored) > 1 for one, _, _ in scored)
    return Grid(
        caption=(
            "PSNR in dB; below it SSIM, and the gain over bicubic in dB. Best in bold, second best underlined, by PSNR "
            f"at the printed digits. {_of_seeds(several)}{describe_protocol([run for _, _, run in scored])}."
        ),
        words=(),
        groups=tuple((f"{scale}x", sum(factor == scale for _, factor in places)) for scale in scales),
        heads=tuple(name for name, _ in places),
        lines=tuple(lines),
    )


def bicubic_run(configurations: Sequence[Configuration]) -> Run | None:
    """Return the scores of bicubic at every set and scale where a job has them; it is the same beside every network."""
    found = [job.bicubic for one in configurations for job in one.scored if job.bicubic is not None]
    if not found:
        return None
    return replace(found[0], scores={place: score for one in reversed(found) for place, score in one.scores.items()})


def best_validation(job: Job) -> float | None:
    """Return the best `val/psnr` of a job, from its log or else from its record."""
    if job.progress is not None and job.progress.best is not None:
        return job.progress.best
    values = {} if job.record is None else job.record.val
    return next((values[key] for key in ("val/psnr", "psnr") if key in values), None)


def _costs(
    of: Callable[[Callable[[Job], float | None]], Spread | None], best: Spread | None, mark: Mark
) -> tuple[Entry, ...]:
    layers = of(lambda job: None if job.record is None else job.record.layers)
    return (
        _number(of(lambda job: job.parameters), 0),
        _number(layers, 0),
        _number(of(lambda job: job.steps), 0),
        _number(of(lambda job: job.minutes), 1),
        _spread_entry(best, mark),
    )


def _number(value: Spread | None, digits: int) -> Entry:
    return Entry(text=NOTHING if value is None else f"{value.mean:,.{digits}f}")


def _spread_entry(value: Spread | None, mark: Mark) -> Entry:
    if value is None:
        return Entry(text=NOTHING)
    return Entry(text=f"{value.mean:.2f}", around=value.around(2), mark=mark)


def _single(job: Job) -> Callable[[Callable[[Job], float | None]], Spread | None]:
    return lambda number: spread([number(job)])


def _word(value: str) -> Entry:
    return Entry(text=value or NOTHING)


def _line(one: Configuration, number: int, entries: tuple[Entry, ...]) -> Line:
    seeds = len(one.jobs) if len(one.jobs) > 1 else 0
    return Line(label=one.label, entries=entries, series=number, seeds=seeds, status=_status(one.jobs))


def _seed_line(job: Job, number: int, places: Sequence[tuple[str, int]], bicubic: Run | None) -> Line:
    scores = {} if job.run is None else job.run.scores
    references = {} if bicubic is None else bicubic.scores
    entries = tuple(_entry(scores.get(place), references.get(place)) for place in places)
    return Line(label=_seed_label(job), entries=entries, series=number, seeds=-1, status=_status([job]))


def _seed_label(job: Job) -> str:
    return f"seed {job.seed}, job {job.title}" if job.seed is not None else f"job {job.title}"


def _status(jobs: Sequence[Job]) -> str:
    states = dict.fromkeys(job.status for job in jobs)
    return ", ".join(state for state in states if state not in ("finished", "scored"))


def _entry(score: Score | None, reference: Score | None, psnr: Spread | None = None, mark: Mark = "") -> Entry:
    if score is None:
        return Entry(text=NOTHING)
    gain = () if reference is None else (f"{round(score.psnr_db - reference.psnr_db, 2) + 0.0:+.2f}",)
    around = "" if psnr is None else psnr.around(2)
    return Entry(text=f"{score.psnr_db:.2f}", around=around, mark=mark, below=(f"{score.ssim:.4f}", *gain))


def place_order(place: tuple[str, int]) -> tuple[int, int, str]:
    """Return what sorts sets and scales as the paper's tables have them, by scale first."""
    name, scale = place
    return (scale, SETS.index(name) if name in SETS else len(SETS), name)


def _of_seeds(several: bool) -> str:
    if not several:
        return ""
    return "Of several seeds: the mean ± half the distance between the largest and the smallest. "
