"""What the scatters show: the cost of a method and its PSNR (Fig. 8 and the race)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prosr_lightning.errors import ConfigError
from prosr_lightning.report.costs import parameters_of
from prosr_lightning.report.protocols import common_protocol
from prosr_lightning.report.published import published_scores
from prosr_lightning.report.race import entrants
from prosr_lightning.runs.scored import Run


@dataclass(frozen=True, kw_only=True)
class Point:
    """A method in a scatter."""

    label: str
    cost: float
    psnr_db: float
    ours: bool


def parameter_points(runs: Sequence[Run], *, dataset: str = "Set14", scale: int = 4) -> list[Point]:
    """Return the points of Fig. 8: printed PSNR over computed parameters, and ours.

    Args:
        runs: Ours; may be empty.
        dataset: The set.
        scale: The factor.

    Returns:
        Points of the methods whose network is in this package. Bicubic has no parameters, and what is probably a
        misprint is no result: both are left out.

    Raises:
        ConfigError: If the runs were not scored alike.
    """
    common_protocol(runs)
    points = []
    for one in published_scores(6):
        if (one.dataset, one.scale) == (dataset, scale) and one.doubtful != "psnr_db":
            parameters = parameters_of(one.method, scale)
            if parameters:
                points.append(Point(label=one.method, cost=parameters, psnr_db=one.psnr_db, ours=False))
    return points + (race_points(runs, "parameters", dataset=dataset, scale=scale) if runs else [])


def race_points(runs: Sequence[Run], cost: str, *, dataset: str = "Set14", scale: int = 4) -> list[Point]:
    """Return our runs but bicubic that have a score and whose cost is known.

    Args:
        runs: Ours.
        cost: "parameters", "multiply_adds" or "seconds".
        dataset: The set.
        scale: The factor.

    Returns:
        The points.

    Raises:
        ConfigError: If no run was scored on the set at the scale, or the runs were not scored alike.
    """
    points, scored = [], False
    for one in entrants(runs):
        score = one.scores.get(dataset)
        if one.scale != scale or score is None:
            continue
        scored = True
        if one.parameters == 0:
            continue
        known = {"parameters": one.parameters, "multiply_adds": one.multiply_adds, "seconds": score.seconds}[cost]
        if known:
            points.append(Point(label=one.label, cost=known, psnr_db=score.psnr_db, ours=True))
    if not scored:
        have = sorted({f"{name} {factor}x" for run in runs for name, factor in run.scores})
        raise ConfigError(
            f"The runs must have scores on {dataset} at {scale}x, but they have {', '.join(have)}; "
            "choose set=... and scale=... from these."
        )
    return points
