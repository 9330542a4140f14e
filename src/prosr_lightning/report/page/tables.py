"""The page's tables: what the runs cost, what they scored, and those of the paper that they have rows in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prosr_lightning.report.page.configurations import IN_LABEL, Configuration, Spread, short_keys, spread
from prosr_lightning.report.protocols import describe_protocol
from prosr_lightning.report.published import SETS, published_scores
from prosr_lightning.report.scores import difference, place_runs
from prosr_lightning.report.tables import build_table
from prosr_lightning.runs.scored import Run
from prosr_lightning.runs.scores import SummaryRow
from prosr_lightning.runs.trained import TrainedRun
from prosr_lightning.tables import Cell, Column, Mark, Table, Value, mark_values, text_cell

NOTHING = "–"  # noqa: RUF001  # a dash as typographers set it
_TABLES = (2, 3, 4, 5, 6)


@dataclass(frozen=True, kw_only=True)
class RowName(Cell):
    """The first cell of a row: of a configuration, of one of its seeds, or of bicubic.

    Attributes:
        series: The number of the configuration's colour; None for bicubic.
        seeds: How many rows of single seeds follow; -1 of those rows themselves.
        status: "" where everything is finished.
    """

    series: int | None = None
    seeds: int = 0
    status: str = ""


def runs_table(configurations: Sequence[Configuration], keys: Sequence[str], *, comparable: bool) -> Table:
    """Lay out what the runs are and cost.

    Args:
        configurations: All of them.
        keys: In which they differ; a column for each where a label alone would be too long.
        comparable: Whether all runs validated on the same, so that the best can be marked.
    """
    words = short_keys(keys) if len(keys) > IN_LABEL else []
    several = any(len(configuration.jobs) > 1 for configuration in configurations)
    best = [configuration.spread(best_validation) for configuration in configurations]
    marks = mark_values([round(value.mean, 2) if value is not None and comparable else None for value in best])
    rows: list[tuple[Cell, ...]] = []
    for number, configuration in enumerate(configurations):
        values, jobs = configuration.values if words else (), configuration.jobs
        counts = [text_cell(str(len(jobs)))] if several else []
        numbers = _costs(jobs, marks[number])
        rows.append(
            (_name(configuration, number), *(text_cell(value or NOTHING) for value in values), *counts, *numbers)
        )
        for job in jobs if len(jobs) > 1 else ():
            rows.append((_seed_name(job, number), *[text_cell("")] * (len(values) + 1), *_costs([job])))
    titles = [*(["Seeds"] if several else []), "Parameters", "Layers", "Updates", "Minutes", "Validation PSNR"]
    return replace(
        Table.of_text(["Run", *words, *titles], words=1 + len(words)),
        title="Runs",
        caption=(
            "Validation PSNR in dB is the best val/psnr of a run, which is that of the weights kept. "
            + ("" if comparable else "The runs did not validate at the same sets and scales, so none is marked best. ")
            + _about_seeds(several=several)
        ),
        blocks=(tuple(rows),),
    )


def scores_table(configurations: Sequence[Configuration], numbers: Sequence[int]) -> Table:
    """Lay out PSNR, SSIM and gain over bicubic of configurations that were scored alike."""
    runs = [run for configuration in configurations if (run := configuration.mean_run()) is not None]
    bicubic = bicubic_run(configurations)
    references = {} if bicubic is None else bicubic.scores
    places = sorted({place for run in runs for place in run.scores}, key=place_order)
    columns = [
        mark_values([round(run.scores[place].psnr_db, 2) if place in run.scores else None for run in runs])
        for place in places
    ]
    rows: list[tuple[Cell, ...]] = []
    if bicubic is not None:
        rows.append((RowName(values=(Value(text="Bicubic"),)), *(_score(references.get(place)) for place in places)))
    for at, (configuration, number, run) in enumerate(zip(configurations, numbers, runs, strict=True)):
        scored = [job.run.scores for job in configuration.scored if job.run is not None]
        cells = []
        for place, marks in zip(places, columns, strict=True):
            over_seeds = spread(scores[place].psnr_db for scores in scored if place in scores)
            cells.append(_score(run.scores.get(place), references.get(place), over_seeds, marks[at]))
        rows.append((_name(configuration, number), *cells))
        for job in configuration.scored if len(configuration.jobs) > 1 else ():
            own = {} if job.run is None else job.run.scores
            rows.append((_seed_name(job, number), *(_score(own.get(place), references.get(place)) for place in places)))
    several = any(len(configuration.scored) > 1 for configuration in configurations)
    return Table(
        title="Scores",
        caption=(
            "PSNR in dB; below it SSIM, and the gain over bicubic in dB. Best in bold, second best underlined, by PSNR "
            f"at the printed digits. {_about_seeds(several=several)}{describe_protocol(runs)}."
        ),
        columns=(
            Column(title="Run", numeric=False),
            *(Column(title=name, group=f"{scale}x") for name, scale in places),
        ),
        blocks=(tuple(rows),),
    )


def paper_tables(configurations: Sequence[Configuration]) -> list[tuple[int, Table]]:
    """Return the paper's tables that the configurations fill rows of, with how many; the best filled first.

    Where they fill none but were scored on the paper's sets, Table 6 has them in rows of their own.
    """
    runs = [run for configuration in configurations if (run := configuration.mean_run()) is not None]
    bicubic = bicubic_run(configurations)
    candidates = []
    for number in _TABLES:
        places = {(printed.dataset, printed.scale) for printed in published_scores(number)}
        mine = [run for run in runs if run.scores.keys() & places]
        beside = [bicubic] if bicubic is not None and bicubic.scores.keys() & places else []
        rows = place_runs(number, mine) if mine else []
        filled = sum(bool(row.ours and row.published) for row in rows if row.method != "Bicubic")
        if mine and (filled or number == _TABLES[-1]):
            candidates.append((filled, len(rows), number, [*beside, *mine]))
    matched = [candidate for candidate in candidates if candidate[0]] or candidates
    ranked = sorted(matched, key=lambda candidate: (-candidate[0] / candidate[1], candidate[2]))
    return [(filled, build_table(str(number), some)) for filled, _, number, some in ranked]


def bicubic_run(configurations: Sequence[Configuration]) -> Run | None:
    """Return the scores of bicubic at every set and scale where a job has them; it is the same beside every network."""
    jobs = [job for configuration in configurations for job in configuration.scored]
    runs = [job.bicubic for job in jobs if job.bicubic is not None]
    if not runs:
        return None
    return replace(runs[0], scores={place: score for run in reversed(runs) for place, score in run.scores.items()})


def best_validation(job: TrainedRun) -> float | None:
    """Return the best `val/psnr` of a job, from its log or else from its record."""
    if job.progress is not None and job.progress.best is not None:
        return job.progress.best
    return next((job.record.val[key] for key in ("val/psnr", "psnr") if key in job.record.val), None)


def place_order(place: tuple[str, int]) -> tuple[int, int, str]:
    """Return what sorts sets and scales as the paper's tables have them, by scale first."""
    name, scale = place
    return (scale, SETS.index(name) if name in SETS else len(SETS), name)


def _costs(jobs: Sequence[TrainedRun], mark: Mark = "") -> list[Cell]:
    """Return parameters, layers, updates, minutes and the best validation, means over seeds."""
    numbers = [
        (spread(job.parameters for job in jobs), ",.0f"),
        (spread(job.record.layers for job in jobs), ",.0f"),
        (spread(job.steps for job in jobs), ",.0f"),
        (spread(job.record.minutes for job in jobs), ",.1f"),
    ]
    cells = [text_cell(NOTHING if value is None else f"{value.mean:{style}}") for value, style in numbers]
    return [*cells, _spread(spread(best_validation(job) for job in jobs), mark)]


def _spread(value: Spread | None, mark: Mark = "", below: tuple[str, ...] = ()) -> Cell:
    if value is None:
        return text_cell(NOTHING)
    return Cell(values=(Value(text=f"{value.mean:.2f}", mark=mark),), suffix=value.around(2), below=below)


def _score(
    score: SummaryRow | None, reference: SummaryRow | None = None, over_seeds: Spread | None = None, mark: Mark = ""
) -> Cell:
    if score is None:
        return text_cell(NOTHING)
    gain = () if reference is None else (difference(score, reference),)
    return _spread(over_seeds or spread([score.psnr_db]), mark, (f"{score.ssim:.4f}", *gain))


def _name(configuration: Configuration, number: int) -> RowName:
    seeds = len(configuration.jobs) if len(configuration.jobs) > 1 else 0
    status = _status(configuration.jobs)
    return RowName(values=(Value(text=configuration.label),), series=number, seeds=seeds, status=status)


def _seed_name(job: TrainedRun, number: int) -> RowName:
    seed = job.record.seed
    label = f"seed {seed}, job {job.title}" if seed is not None else f"job {job.title}"
    return RowName(values=(Value(text=label),), series=number, seeds=-1, status=_status([job]))


def _status(jobs: Sequence[TrainedRun]) -> str:
    states = dict.fromkeys(job.record.status for job in jobs)
    return ", ".join(state for state in states if state not in ("finished", "scored"))


def _about_seeds(*, several: bool) -> str:
    return "Of several seeds: the mean ± half the distance between the largest and the smallest. " if several else ""
