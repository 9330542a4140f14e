"""Parameters over scale (Fig. 9) of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosr_lightning.networks import build_network, count_parameters
from prosr_lightning.report.costs import parameters_by_scale
from prosr_lightning.report.labels import Label, place_labels
from prosr_lightning.report.page.configurations import Configuration
from prosr_lightning.report.page.drawing import MUTED, SERIES, Dot, Drawing, draw, dress, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SCALES = (2, 4, 8)


def parameters_and_scale(configurations: Sequence[Configuration], folder: Path) -> Drawing | None:
    """Draw Fig. 9: parameters over scale, with the paper's progressive methods in grey.

    Args:
        configurations: Those with equal counts share a line.
        folder: Gets the PNG.

    Returns:
        None where no count is known.
    """
    reference = {name: counts for name, counts in parameters_by_scale(_SCALES).items() if len(counts) > 1}
    ours = _lines(configurations)
    if not ours:
        return None

    def paint(figure: Figure, axes: Axes) -> list[Dot]:
        dots, labels = [], []
        for name, counts in reference.items():
            dots += _line(axes, f"{name} of the paper", counts, -1)
            labels.append(Label(text=name, x=_SCALES[-1], y=counts[_SCALES[-1]], colour=MUTED))
        for number, (label, counts) in ours.items():
            dots += _line(axes, label, counts, number)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(_SCALES), [f"{scale}x" for scale in _SCALES])
        axes.minorticks_off()
        axes.margins(x=0.2)
        axes.set_ylim(0, 1.12 * max(dot.y for dot in dots))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        dress(axes, "Scale", "Parameters")
        place_labels(figure, axes, labels, above=True)
        return dots

    return draw(
        "parameters-scale", "Parameters at each scale", folder, paint, {n: label for n, (label, _) in ours.items()}
    )


def _line(axes: Axes, label: str, counts: dict[int, int], number: int) -> list[Dot]:
    """Draw one curve of Fig. 9; those of the paper's networks, which have no number, in grey."""
    ours = number >= 0
    axes.plot(
        list(counts),
        list(counts.values()),
        color=SERIES[number % len(SERIES)] if ours else MUTED,
        linewidth=1.8 if ours else 1.1,
        linestyle="-" if ours else "--",
        marker="D" if ours else "o",
        markersize=5 if ours else 3,
        label=plain(label) if ours else "_",
    )
    return [
        Dot(x=scale, y=count, series=number, text=f"{label}\n{count:,} parameters at {scale}x")
        for scale, count in counts.items()
    ]


def _lines(configurations: Sequence[Configuration]) -> dict[int, tuple[str, dict[int, int]]]:
    """Return label and counts by the number of the configuration; those with equal counts share a line."""
    found: dict[int, tuple[str, dict[int, int]]] = {}
    for number, one in enumerate(configurations):
        counts = _counts(one)
        same = next((first for first, (_, others) in found.items() if others == counts), None)
        if same is not None:
            found[same] = (f"{found[same][0]}; {one.label}", counts)
        elif counts:
            found[number] = (one.label, counts)
    return found


def _counts(one: Configuration) -> dict[int, int]:
    """Return the parameters of a configuration's network at each scale that it can do."""
    training = next((job.training for job in one.jobs if job.training is not None), None)
    if training is None:
        known = one.jobs[0].parameters
        return dict.fromkeys(_SCALES, known) if known else {}
    scale = training.architecture.get("scale")
    parameters = count_parameters(build_network(training.architecture))
    return {scale: parameters} if isinstance(scale, int) else dict.fromkeys(_SCALES, parameters)
