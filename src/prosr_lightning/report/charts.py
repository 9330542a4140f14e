"""What the figures show, as numbers: Fig. 7 to 9 and the race. `painting` draws them, into files and into the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prosr_lightning.errors import ConfigError
from prosr_lightning.report.costs import parameters_by_scale, parameters_of
from prosr_lightning.report.protocols import common_protocol
from prosr_lightning.report.published import published_scores
from prosr_lightning.report.race import entrants
from prosr_lightning.runs.log import VAL, Progress
from prosr_lightning.runs.scored import Run

PAPER = -1  # the number of what is not ours: drawn in grey
SCALES = (2, 4, 8)
COSTS = {
    "parameters": "Parameters",
    "multiply_adds": "Multiply-adds per output pixel",
    "seconds": "Seconds per image",
}
_MOST_LOSSES = 200  # points of a curve
_EARLY = 8  # validations from which the first few may be cut off below
_WIDE_RANGE = 8  # of a cost, from which a logarithmic axis reads better


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points of one colour, joined by a line or not.

    Attributes:
        label: What it is.
        number: Of its colour; `PAPER` for grey.
        points: x and y.
        tips: What the page tells of each point.
        line: Whether the points are joined.
        beside: A text beside each point; nothing without.
        legend: What the legend of a file says; nothing of what it says already.
        thin: One of several curves of a colour.
    """

    label: str
    number: int
    points: tuple[tuple[float, float], ...]
    tips: tuple[str, ...]
    line: bool = False
    beside: tuple[str, ...] = ()
    legend: str = ""
    thin: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure, or one panel of it.

    Attributes:
        key: Names its file beside the page.
        title: What it shows.
        x_title: Of the axis.
        y_title: Of the axis.
        series: What is drawn, the later above the earlier.
        x_scale: "doubling" has a mark at each of `SCALES`.
        y_limits: None where everything fits.
    """

    key: str
    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    x_scale: Literal["linear", "log", "doubling"] = "linear"
    y_limits: tuple[float, float] | None = None

    @property
    def names(self) -> dict[int, str]:
        """The label of each colour that is ours."""
        return {series.number: series.label for series in reversed(self.series) if series.number != PAPER}


@dataclass(frozen=True, kw_only=True)
class Point:
    """A method in a scatter."""

    label: str
    cost: float
    psnr_db: float
    ours: bool


def metric_title(metric: str) -> str:
    """Return what an axis says of a column of the log.

    Examples:
        >>> metric_title("val/Kodak24/x2/psnr")
        'Validation PSNR on Kodak24 at 2x (dB)'
    """
    return f"Validation PSNR{'' if metric == VAL else f' on {_place(metric)}'} (dB)"


def _place(metric: str) -> str:
    name, _, scale = metric.removeprefix("val/").removesuffix("/psnr").rpartition("/x")
    return f"{name} at {scale}x"


def convergence_chart(
    curves: Iterable[tuple[int, str, str, Progress]], metric: str = VAL, unit: str = "updates", key: str = ""
) -> Chart:
    """Return Fig. 7: validation PSNR over updates or minutes.

    Args:
        curves: The number of the colour, its name, the name of the run and what it validated.
        metric: The column of the log.
        unit: "updates" or "minutes", which must be known.
        key: Names the file.
    """
    curves, series, later = list(curves), list[Series](), list[float]()
    for at, (number, label, run, progress) in enumerate(curves):
        places: Sequence[float] = progress.steps if unit == "updates" else progress.minutes or ()
        measured = zip(places, progress.psnr_db[metric], strict=True)
        points = tuple((x, y) for x, y in measured if math.isfinite(y))
        later += [y for _, y in points[max(1, len(points) // 20) if len(points) >= _EARLY else 0 :]]
        tips = (f"{y:.2f} dB at {f'{x:,.0f} updates' if unit == 'updates' else f'{x:.1f} min'}" for x, y in points)
        series.append(
            Series(
                label=label,
                number=number,
                points=points,
                tips=tuple(f"{run}\n{tip}" for tip in tips),
                line=True,
                legend="" if any(label == other for _, other, *_ in curves[:at]) else label,
                thin=sum(label == other for _, other, *_ in curves) > 1,
            )
        )
    room = max(0.05 * (max(later) - min(later)), 0.02) if later else 0
    where = "" if metric == VAL else f"{_place(metric)}, "
    return Chart(
        key=key,
        title=f"Convergence: {where}over {unit}",
        x_title="Updates" if unit == "updates" else "Minutes of training",
        y_title=metric_title(metric),
        series=tuple(series),
        y_limits=(min(later) - room, max(later) + room) if later else None,
    )


def loss_chart(curves: Iterable[tuple[int, str, str, Progress]], key: str = "") -> Chart | None:
    """Return what the trainings minimised over updates, each of at most `_MOST_LOSSES` means; None without.

    The arguments are those of `convergence_chart`.
    """
    series = []
    for number, label, run, progress in curves:
        size = max(1, -(-len(progress.losses) // _MOST_LOSSES))
        parts = [progress.losses[at : at + size] for at in range(0, len(progress.losses), size)]
        points = tuple((part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts)
        tips = tuple(f"{run}\n{loss:.4g} at {step:,} updates" for step, loss in points)
        series.append(Series(label=label, number=number, points=points, tips=tips, line=True, legend=label))
    values = [loss for line in series for _, loss in line.points if math.isfinite(loss)]
    if not values:
        return None
    return Chart(
        key=key,
        title="Convergence: training loss",
        x_title="Updates",
        y_title="Training loss",
        series=tuple(series),
        y_limits=(min(0.0, *values), 1.05 * sorted(values)[int(0.98 * (len(values) - 1))]),  # the first few may be high
    )


def value_chart(name: str, points: Sequence[tuple[int, str, float, float]], key: str = "") -> Chart:
    """Return the validation over a value that was searched.

    Args:
        name: What was searched.
        points: The number of the colour, its name, the value, and the best validation in dB.
        key: Names the file.
    """
    values = [value for _, _, value, _ in points]
    return Chart(
        key=key,
        title=f"{name} and validation",
        x_title=name,
        y_title=metric_title(VAL),
        series=tuple(
            Series(
                label=label,
                number=number,
                points=((value, psnr_db),),
                tips=(f"{label}\n{psnr_db:.2f} dB at {name} {value:g}",),
                beside=(label,),
            )
            for number, label, value, psnr_db in points
        ),
        x_scale="log" if min(values) > 0 and max(values) > _WIDE_RANGE * min(values) else "linear",
    )


def psnr_chart(
    points: Sequence[Point],
    cost: str = "parameters",
    *,
    dataset: str,
    scale: int,
    numbers: Mapping[str, int] | None = None,
    key: str = "",
) -> Chart:
    """Return Fig. 8 or a panel of the race: PSNR over a cost.

    Args:
        points: The paper's and ours.
        cost: One of `COSTS`.
        dataset: The set.
        scale: The factor.
        numbers: Of the colours of ours, by label; None counts.
        key: Names the file.
    """
    if numbers is None:
        numbers = {label: at for at, label in enumerate(dict.fromkeys(point.label for point in points if point.ours))}
    mixed = len({point.ours for point in points}) == 2
    series: list[Series] = []
    for point in points:
        who, kind = (point.label, "run here") if point.ours else (f"{point.label}, as published", "paper, Table 6")
        series.append(
            Series(
                label=point.label,
                number=numbers.get(point.label, 0) if point.ours else PAPER,
                points=((point.cost, point.psnr_db),),
                tips=(f"{who}\n{point.psnr_db:.2f} dB, {point.cost:,.4g} {COSTS[cost].lower()}",),
                beside=(point.label,),
                legend=kind if mixed and not any(other.legend == kind for other in series) else "",
            )
        )
    costs = [point.cost for point in points]
    return Chart(
        key=key,
        title=f"{COSTS[cost]} and PSNR, {dataset} {scale}x",
        x_title=COSTS[cost] + (f" of {dataset}" if cost == "seconds" else ""),
        y_title=f"PSNR on {dataset} at {scale}x (dB)",
        series=tuple(series),
        x_scale="log" if costs and max(costs) > _WIDE_RANGE * min(costs) else "linear",
    )


def scale_chart(ours: Mapping[int, tuple[str, Mapping[int, int]]] | None = None, key: str = "") -> Chart:
    """Return Fig. 9: parameters over scale.

    Args:
        ours: Label and parameters by scale, by the number of the colour; the paper's progressive methods are grey
            beside them. None draws the paper's alone, in colours and with their numbers.
        key: Names the file.
    """
    paper = parameters_by_scale(SCALES)
    lines = {at: (name, counts) for at, (name, counts) in enumerate(paper.items())} if ours is None else ours
    grey = {} if ours is None else {name: counts for name, counts in paper.items() if len(counts) > 1}
    drawn = [(f"{name} of the paper", PAPER, counts) for name, counts in grey.items()]
    drawn += [(name, number, dict(counts)) for number, (name, counts) in lines.items()]
    return Chart(
        key=key,
        title="Parameters at each scale",
        x_title="Scale",
        y_title="Parameters",
        series=tuple(
            Series(
                label=label,
                number=number,
                points=tuple(counts.items()),
                tips=tuple(f"{label}\n{count:,} parameters at {scale}x" for scale, count in counts.items()),
                line=True,
                beside=(
                    tuple(f"{count:,}" for count in counts.values())
                    if ours is None
                    else (*[""] * (len(counts) - 1), label.removesuffix(" of the paper"))
                    if number == PAPER
                    else ()
                ),
                legend="" if number == PAPER else label,
            )
            for label, number, counts in drawn
        ),
        x_scale="doubling",
        y_limits=(0, 1.12 * max(max(counts.values()) for *_, counts in drawn)),
    )


def parameter_points(runs: Sequence[Run], *, dataset: str = "Set14", scale: int = 4) -> list[Point]:
    """Return the points of Fig. 8: printed PSNR over computed parameters, and ours.

    Returns:
        Points of the methods whose network is in this package. Bicubic has no parameters, and what is probably a
        misprint is no result: both are left out.

    Raises:
        ConfigError: If the runs were not scored alike.
    """
    common_protocol(runs)
    points = []
    for printed in published_scores(6):
        if (printed.dataset, printed.scale) == (dataset, scale) and printed.doubtful != "psnr_db":
            parameters = parameters_of(printed.method, scale)
            if parameters:
                points.append(Point(label=printed.method, cost=parameters, psnr_db=printed.psnr_db, ours=False))
    return points + (race_points(runs, "parameters", dataset=dataset, scale=scale) if runs else [])


def race_points(runs: Sequence[Run], cost: str, *, dataset: str = "Set14", scale: int = 4) -> list[Point]:
    """Return our runs but bicubic that have a score and whose cost is known.

    Raises:
        ConfigError: If no run was scored on the set at the scale, or the runs were not scored alike.
    """
    scored = [entrant for entrant in entrants(runs) if entrant.scale == scale and dataset in entrant.scores]
    if not scored:
        have = sorted({f"{name} {factor}x" for run in runs for name, factor in run.scores})
        raise ConfigError(
            f"The runs must have scores on {dataset} at {scale}x, but they have {', '.join(have)}; "
            "choose set=... and scale=... from these."
        )
    return [
        Point(label=entrant.label, cost=value, psnr_db=entrant.scores[dataset].psnr_db, ours=True)
        for entrant in scored
        if entrant.costs.get("parameters") != 0 and (value := entrant.cost(cost, dataset))
    ]
