"""The perceptual measures that belong beside Table 5: what PSNR and SSIM do not tell of a GAN."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning.errors import DataError
from prosr_lightning.evaluate.scoring import PERCEPTUAL
from prosr_lightning.report.model import Cell, Column, Table, text_cell
from prosr_lightning.report.protocols import describe_protocol
from prosr_lightning.runs.scored import Run

Measures = dict[tuple[str, int], dict[str, float]]


def has_measures(run: Run) -> bool:
    """Tell whether a run was scored with `perceptual=[...]`."""
    return (run.folder / "perceptual.csv").is_file()


def detail_table(runs: Sequence[Run]) -> Table:
    """Put the perceptual measures of runs side by side.

    Args:
        runs: Scored with `perceptual=[...]`; others are left out.

    Returns:
        A row for each set, scale and run; a column for each measure.

    Raises:
        DataError: If no run has measures, or their file cannot be read.
    """
    measured = [(run.label, _read(run.folder / "perceptual.csv")) for run in runs if has_measures(run)]
    if not measured:
        raise DataError(
            "Table detail needs runs scored with perceptual measures, got none; evaluate with "
            "perceptual=[gmsd,high_frequency]."
        )
    names = list(dict.fromkeys(name for _, values in measured for row in values.values() for name in row))
    places = list(dict.fromkeys(place for _, values in measured for place in values))
    blocks, records = [], []
    for dataset, scale in places:
        rows: list[tuple[Cell, ...]] = []
        for label, values in measured:
            found = values.get((dataset, scale), {})
            cells = [f"{found[name]:.4f}" if name in found else "not run" for name in names]
            rows.append(tuple(text_cell(text) for text in (dataset, str(scale), label, *cells)))
            records.append(
                {"dataset": dataset, "scale": str(scale), "method": label, **dict(zip(names, cells, strict=True))}
            )
        blocks.append(tuple(rows))
    explained = "; ".join(f"{name}: {PERCEPTUAL[name]}" for name in names if name in PERCEPTUAL)
    titles = (Column(title="Dataset", numeric=False), Column(title="Scale"), Column(title="Method", numeric=False))
    return Table(
        title="Perceptual measures",
        caption=f"{explained}. {describe_protocol([run for run in runs if has_measures(run)])}",
        columns=(*titles, *(Column(title=name) for name in names)),
        blocks=tuple(blocks),
        records=records,
    )


def _read(path: Path) -> Measures:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                (row.pop("dataset"), int(row.pop("scale"))): {name: float(value) for name, value in row.items()}
                for row in csv.DictReader(file)
            }
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} must hold dataset, scale and numbers, but: {error!r}; score the run again.") from error
