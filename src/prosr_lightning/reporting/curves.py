"""Convergence curves: `val/psnr` over steps from the CSV logs of training runs (Fig. 7)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prosr_lightning.errors import ConfigError, DataError
from prosr_lightning.reporting.runs import split_name
from prosr_lightning.reporting.training import read_training

METRICS = Path("csv") / "metrics.csv"  # of logger=csv
_KEY = "val/psnr"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run's validation PSNR in dB at each step it was measured at."""

    label: str
    steps: tuple[int, ...]
    psnr_db: tuple[float, ...]


def read_curves(words: Sequence[str]) -> list[Curve]:
    """Read the curves of training runs.

    Args:
        words: Each the folder of a training run or of a multirun, or `NAME=folder`.

    Returns:
        Curves by depth; their names are the names given, or "depth N".

    Raises:
        ConfigError: If there is no run.
        DataError: If a folder holds no log, or a log holds no validation.
    """
    if not words:
        raise ConfigError("Figure 7 needs training runs, got none; give runs=[DIR,DIR], one for each depth.")
    curves = []
    for word in words:
        name, folder = split_name(word)
        found = (
            [folder]
            if (folder / METRICS).is_file()
            else sorted(path.parents[1] for path in folder.glob(f"*/{METRICS}"))
        )
        if not found:
            raise DataError(
                f"{folder} must hold {METRICS} of a training run, "
                f"{'found none' if folder.is_dir() else 'but there is no such folder'}; train with logger=csv."
            )
        curves += [_read_curve(one, name) for one in found]
    return [curve for _, curve in sorted(curves, key=lambda pair: pair[0])]


def _read_curve(folder: Path, name: str | None) -> tuple[int, Curve]:
    """Return the depth, 0 where it is not known, and the curve."""
    training = read_training(folder)
    depth = 0 if training is None else training.depth or 0
    label = name or (f"depth {depth}" if depth else folder.name)
    path = folder / METRICS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(int(row["step"]), float(row[_KEY])) for row in csv.DictReader(file) if row.get(_KEY)]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} must have numbers under step and {_KEY}, but: {error!r}; train again.") from error
    if not rows:
        raise DataError(f"{path} must have a value of {_KEY}, found none; train until the first validation.")
    steps, psnr_db = zip(*rows, strict=True)
    return depth, Curve(label=label, steps=steps, psnr_db=psnr_db)
