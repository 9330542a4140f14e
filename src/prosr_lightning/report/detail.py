"""The perceptual measures that belong beside Table 5: what PSNR and SSIM do not tell of a GAN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prosr_lightning.errors import DataError
from prosr_lightning.evaluate.scoring import PERCEPTUAL
from prosr_lightning.report.protocols import describe_protocol
from prosr_lightning.runs.scored import Run
from prosr_lightning.tables import Table


def has_measures(run: Run) -> bool:
    """Tell whether a run was scored with `perceptual=[...]`."""
    return any(score.perceptual for score in run.scores.values())


def detail_table(runs: Sequence[Run]) -> Table:
    """Put the perceptual measures of runs side by side.

    Args:
        runs: Scored with `perceptual=[...]`; others are left out.

    Returns:
        A row for each set, scale and run; a column for each measure.

    Raises:
        DataError: If no run has measures.
    """
    measured = [run for run in runs if has_measures(run)]
    if not measured:
        raise DataError(
            "Table detail needs runs scored with perceptual measures, got none; evaluate with "
            "perceptual=[gmsd,high_frequency]."
        )
    names = list(dict.fromkeys(name for run in measured for score in run.scores.values() for name in score.perceptual))
    blocks = []
    for place in dict.fromkeys(place for run in measured for place in run.scores):
        rows = []
        for run in measured:
            values = run.scores[place].perceptual if place in run.scores else {}
            measures = [f"{values[name]:.4f}" if name in values else "not run" for name in names]
            rows.append((place[0], str(place[1]), run.label, *measures))
        blocks.append(rows)
    explained = "; ".join(f"{name}: {PERCEPTUAL[name].meaning}" for name in names if name in PERCEPTUAL)
    return replace(
        Table.of_text(
            ("Dataset", "Scale", "Method", *names),
            *blocks,
            words=3,
            title="Perceptual measures",
            caption=f"{explained}. {describe_protocol(measured)}",
        ),
        records=[
            dict(zip(("dataset", "scale", "method", *names), row, strict=True)) for rows in blocks for row in rows
        ],
    )
