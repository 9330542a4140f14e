"""The race: our runs against each other, with what each costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import count_parameters, multiply_adds_per_output_pixel
from prosr_lightning.report.costs import network_of
from prosr_lightning.report.protocols import common_protocol, describe_protocol
from prosr_lightning.report.published import SETS
from prosr_lightning.report.scores import score_cells
from prosr_lightning.runs.scored import Run
from prosr_lightning.runs.scores import SummaryRow
from prosr_lightning.tables import Table, text_cell

UNKNOWN = "n/a"


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One run at one scale.

    Attributes:
        label: What to call it.
        scale: The factor.
        costs: What is known of "parameters", "multiply_adds" (for one pixel of the result), and "steps" and "minutes"
            of the training.
        scores: By set.
        folder: The run's.
    """

    label: str
    scale: int
    costs: Mapping[str, float]
    scores: dict[str, SummaryRow]
    folder: str

    def cost(self, name: str, dataset: str) -> float | None:
        """Return a cost, or the "seconds" for an image of a set; None if it is not known."""
        if name != "seconds":
            return self.costs.get(name)
        score = self.scores.get(dataset)
        return None if score is None or score.seconds != score.seconds else score.seconds

    def printed(self, name: str, dataset: str, style: str, absent: str = UNKNOWN) -> str:
        """Return a cost in a format such as ",.0f", or what stands where it is not known."""
        value = self.cost(name, dataset)
        return absent if value is None else f"{value:{style}}"


def entrants(runs: Sequence[Run]) -> list[Entrant]:
    """Return every run at every scale it was scored at, by scale; the same bicubic counts once.

    Raises:
        ConfigError: If there is no run, or the runs were not scored alike.
    """
    if not runs:
        raise ConfigError("The race needs runs to compare, got none; give runs=[DIR,DIR].")
    common_protocol(runs)
    entered: list[Entrant] = []
    for run in runs:
        for scale in sorted({scale for _, scale in run.scores}):
            scores = {name: score for (name, factor), score in run.scores.items() if factor == scale}
            here = {entrant.label: entrant for entrant in entered if entrant.scale == scale}
            if run.is_bicubic and run.label in here:
                known = here[run.label].scores
                known.update({name: score for name, score in scores.items() if name not in known})
                continue
            label, costs = run.other_label(here), _costs(run, scale)
            entered.append(Entrant(label=label, scale=scale, costs=costs, scores=scores, folder=str(run.folder)))
    return sorted(entered, key=lambda entrant: entrant.scale)


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
    styles = {"steps": ",", "minutes": ".1f", "parameters": ",", "multiply_adds": ",.0f", "seconds": ".3f"}
    blocks = []
    for scale in dict.fromkeys(row.scale for row in rows):
        block = [row for row in rows if row.scale == scale]
        columns = [score_cells([row.scores.get(name) for row in block], "not run") for name in sets]
        words = [
            (row.label, f"{row.scale}x", *(row.printed(key, dataset, style) for key, style in styles.items()))
            for row in block
        ]
        blocks.append(tuple((*map(text_cell, row), *cells) for row, *cells in zip(words, *columns, strict=True)))
    titles = ("Method", "Scale", "Updates", "Minutes", "Parameters", "Multiply-adds / pixel", "s / image", *sets)
    return Table(
        title="The race",
        caption=(
            "PSNR in dB / SSIM of our runs, and what each method costs: updates and minutes of its training, learned "
            "values, multiply-adds of the convolutions for one pixel of the result, and mean seconds to enlarge an "
            f"image of {dataset}. Best in bold, second best underlined, at each scale. {describe_protocol(runs)}."
        ),
        columns=Table.of_text(titles).columns,
        blocks=tuple(blocks),
        records=[_record(row, name, score) for row in rows for name, score in row.scores.items()],
    )


def _costs(run: Run, scale: int) -> dict[str, float]:
    """Return what is known of the costs of a run at a scale."""
    if run.is_bicubic:
        return dict.fromkeys(("parameters", "multiply_adds", "steps", "minutes"), 0)
    training = run.training
    network = network_of(run.name or run.info.method, scale) if training is None else training.build()
    if training is None and network is not None and run.info.parameters not in (None, count_parameters(network)):
        network = None  # another network of the same name
    multiply_adds = run.info.multiply_adds.get(scale)  # of a network that is not ours; older files have none
    if network is not None:
        multiply_adds = multiply_adds_per_output_pixel(network, scale)
    passes = 8 if run.info.self_ensemble else 1
    costs = {
        "parameters": run.info.parameters if network is None else count_parameters(network),
        "multiply_adds": None if multiply_adds is None else passes * multiply_adds,
        "steps": None if training is None else training.steps,
        "minutes": None if training is None else training.minutes,
    }
    return {name: value for name, value in costs.items() if value is not None}


def _record(row: Entrant, dataset: str, score: SummaryRow) -> dict[str, str]:
    return {
        "method": row.label,
        "scale": str(row.scale),
        "dataset": dataset,
        "parameters": row.printed("parameters", dataset, "", ""),
        "updates": row.printed("steps", dataset, "", ""),
        "minutes": row.printed("minutes", dataset, ".2f", ""),
        "multiply_adds_per_pixel": row.printed("multiply_adds", dataset, ".1f", ""),
        "seconds_per_image": row.printed("seconds", dataset, ".4f", ""),
        "psnr_db": f"{score.psnr_db:.6f}",
        "ssim": f"{score.ssim:.7f}",
        "run": row.folder,
    }
