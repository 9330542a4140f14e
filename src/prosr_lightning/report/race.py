"""The race: our runs against each other, with what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import build_network, count_parameters, multiply_adds_per_output_pixel
from prosr_lightning.report.costs import network_of
from prosr_lightning.report.model import Cell, Column, Table, Value, mark_values, text_cell
from prosr_lightning.report.protocols import common_protocol, describe_protocol
from prosr_lightning.report.published import SETS
from prosr_lightning.runs.record import read_record
from prosr_lightning.runs.scored import Run, Score

UNKNOWN = "n/a"


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One run at one scale.

    Attributes:
        label: What to call it.
        scale: The factor.
        parameters: Learned values; None if not known.
        multiply_adds: For one pixel of the result; None if the network is not known.
        scores: By set.
        folder: The run's.
        steps: Updates of the training; None if its folder does not say.
        minutes: Wall time of the training; None if its folder does not say.
    """

    label: str
    scale: int
    parameters: int | None
    multiply_adds: float | None
    scores: dict[str, Score]
    folder: str
    steps: int | None = None
    minutes: float | None = None


def entrants(runs: Sequence[Run]) -> list[Entrant]:
    """Return every run at every scale it was scored at, by scale; the same bicubic counts once.

    Raises:
        ConfigError: If there is no run, or the runs were not scored alike.
    """
    if not runs:
        raise ConfigError("The race needs runs to compare, got none; give runs=[DIR,DIR].")
    common_protocol(runs)
    found: list[Entrant] = []
    for run in runs:
        for scale in sorted({scale for _, scale in run.scores}):
            scores = {name: score for (name, factor), score in run.scores.items() if factor == scale}
            parameters, multiply_adds = _costs(run, scale)
            here = {one.label: one for one in found if one.scale == scale}
            if run.is_bicubic and run.label in here:
                known = here[run.label].scores
                known.update({name: score for name, score in scores.items() if name not in known})
                continue
            steps, minutes = _length(run)
            found.append(
                Entrant(
                    label=run.label if run.label not in here else _another(run, set(here)),
                    scale=scale,
                    parameters=parameters,
                    multiply_adds=multiply_adds,
                    scores=scores,
                    folder=str(run.folder),
                    steps=steps,
                    minutes=minutes,
                )
            )
    return sorted(found, key=lambda one: one.scale)


def race_table(runs: Sequence[Run], dataset: str = "Set14") -> Table:
    """Lay out our runs with parameters, multiply-adds and time.

    Args:
        runs: Ours.
        dataset: The set whose images the times are of.

    Returns:
        The table; best and second best are marked for each scale and set.

    Raises:
        ConfigError: If there is no run, or the runs were not scored alike.
    """
    rows = entrants(runs)
    sets = sorted({name for row in rows for name in row.scores}, key=lambda name: (*SETS, name).index(name))
    blocks = []
    for scale in dict.fromkeys(row.scale for row in rows):
        block = [row for row in rows if row.scale == scale]
        columns = [_column(block, name) for name in sets]
        blocks.append(tuple((*_cost_cells(row, dataset), *cells) for row, *cells in zip(block, *columns, strict=True)))
    return Table(
        title="The race",
        caption=(
            "PSNR in dB / SSIM of our runs, and what each method costs: updates and minutes of its training, learned "
            "values, multiply-adds of the convolutions for one pixel of the result, and mean seconds to enlarge an "
            f"image of {dataset}. Best in bold, second best underlined, at each scale. {describe_protocol(runs)}."
        ),
        columns=(
            Column(title="Method", numeric=False),
            *(
                Column(title=title)
                for title in ("Scale", "Updates", "Minutes", "Parameters", "Multiply-adds / pixel", "s / image", *sets)
            ),
        ),
        blocks=tuple(blocks),
        records=[_record(row, name, score) for row in rows for name, score in row.scores.items()],
    )


def _length(run: Run) -> tuple[int | None, float | None]:
    """Return updates and minutes of the training."""
    if run.is_bicubic:
        return 0, 0.0
    record = read_record(run.run_folder)
    if record is None:
        return None, None
    return record.steps, None if record.seconds is None else record.seconds / 60


def _costs(run: Run, scale: int) -> tuple[int | None, float | None]:
    if run.is_bicubic:
        return 0, 0.0
    if run.training is not None:
        network = build_network(run.training.architecture)
    else:
        known = network_of(run.name or run.method, scale)
        if known is None or run.parameters not in (None, count_parameters(known)):
            return run.parameters, None  # another network of the same name
        network = known
    passes = 8 if run.self_ensemble else 1
    return count_parameters(network), passes * multiply_adds_per_output_pixel(network, scale)


def _another(run: Run, taken: set[str]) -> str:
    seed = run.training.seed if run.training is not None else None
    names = [f"{run.label}, seed {seed}"] if seed is not None else []
    names += [f"{run.label}, {run.run_folder.name}", f"{run.label}, {run.folder}"]
    return next((name for name in names if name not in taken), names[-1])


def _cost_cells(row: Entrant, dataset: str) -> list[Cell]:
    score = row.scores.get(dataset)
    seconds = None if score is None else score.seconds
    return [
        text_cell(row.label),
        text_cell(f"{row.scale}x"),
        text_cell(UNKNOWN if row.steps is None else f"{row.steps:,}"),
        text_cell(UNKNOWN if row.minutes is None else f"{row.minutes:.1f}"),
        text_cell(UNKNOWN if row.parameters is None else f"{row.parameters:,}"),
        text_cell(UNKNOWN if row.multiply_adds is None else f"{row.multiply_adds:,.0f}"),
        text_cell(UNKNOWN if seconds is None else f"{seconds:.3f}"),
    ]


def _column(block: Sequence[Entrant], name: str) -> list[Cell]:
    scores = [row.scores.get(name) for row in block]
    psnr_marks = mark_values([None if one is None else round(one.psnr_db, 2) for one in scores])
    ssim_marks = mark_values([None if one is None else round(one.ssim, 4) for one in scores])
    return [
        text_cell("not run")
        if one is None
        else Cell(
            values=(Value(text=f"{one.psnr_db:.2f}", mark=psnr_mark), Value(text=f"{one.ssim:.4f}", mark=ssim_mark))
        )
        for one, psnr_mark, ssim_mark in zip(scores, psnr_marks, ssim_marks, strict=True)
    ]


def _record(row: Entrant, dataset: str, score: Score) -> dict[str, str]:
    return {
        "method": row.label,
        "scale": str(row.scale),
        "dataset": dataset,
        "parameters": "" if row.parameters is None else str(row.parameters),
        "updates": "" if row.steps is None else str(row.steps),
        "minutes": "" if row.minutes is None else f"{row.minutes:.2f}",
        "multiply_adds_per_pixel": "" if row.multiply_adds is None else f"{row.multiply_adds:.1f}",
        "seconds_per_image": "" if score.seconds is None else f"{score.seconds:.4f}",
        "psnr_db": f"{score.psnr_db:.6f}",
        "ssim": f"{score.ssim:.7f}",
        "run": row.folder,
    }
