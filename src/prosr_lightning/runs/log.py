"""What a run validated, step by step, from its CSV log (Fig. 7)."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prosr_lightning.errors import ConfigError, DataError
from prosr_lightning.runs.folder import LOG
from prosr_lightning.runs.scored import split_name
from prosr_lightning.runs.training import read_training

VAL = "val/psnr"
_PSNR = re.compile(r"val/(.+/x\d+/)?psnr")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a run validated, step by step.

    Attributes:
        steps: Updates done at each validation.
        minutes: Wall time at each; None where it is not known.
        psnr_db: Values in dB by column of the log: `val/psnr`, and `val/SET/xN/psnr` of each set and scale.
        losses: Updates and what the training minimised, `train/loss` or of a ProSRGAN `train/g_loss`.
    """

    steps: tuple[int, ...]
    minutes: tuple[float, ...] | None
    psnr_db: Mapping[str, tuple[float, ...]]
    losses: tuple[tuple[int, float], ...] = ()

    @property
    def best(self) -> float | None:
        """The largest `val/psnr`, which is that of the kept weights; None without."""
        values = [value for value in self.psnr_db.get(VAL, ()) if math.isfinite(value)]
        return max(values, default=None)


def read_progress(folder: Path, seconds: float | None = None) -> Progress | None:
    """Read what a run validated.

    Args:
        folder: Of a training run.
        seconds: Wall time of the training. The log does not say when a validation was; updates are taken to last
            equally long.

    Returns:
        None if there is no log, or no validation in it.

    Raises:
        DataError: If the log cannot be read.
    """
    path = folder / LOG
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        last = max((int(row["step"]) for row in rows), default=0) + 1
        validated = [row for row in rows if row.get(VAL)]
        columns = [name for name in (validated[0] if validated else {}) if name and _PSNR.fullmatch(name)]
        values = {name: tuple(float(row[name] or "nan") for row in validated) for name in columns}
        steps = tuple(int(row["step"]) + 1 for row in validated)  # the log counts from 0
        lost = [(int(row["step"]) + 1, row.get("train/loss") or row.get("train/g_loss")) for row in rows]
        losses = tuple((step, float(loss)) for step, loss in lost if loss)
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} must have numbers under step and {VAL}, but: {error!r}; train again.") from error
    if not steps:
        return None
    minutes = None if not seconds else tuple(seconds / 60 * step / last for step in steps)
    return Progress(steps=steps, minutes=minutes, psnr_db=values, losses=losses)


def read_curves(words: Sequence[str]) -> list[tuple[str, Progress]]:
    """Read the validations of training runs.

    Args:
        words: Each the folder of a training run or of a multirun, or `NAME=folder`.

    Returns:
        Names, which are those given or "depth N", with what was validated; by depth.

    Raises:
        ConfigError: If there is no run.
        DataError: If a folder holds no log, or a log holds no validation.
    """
    if not words:
        raise ConfigError("Figure 7 needs training runs, got none; give runs=[DIR,DIR], one for each depth.")
    curves = []
    for word in words:
        name, folder = split_name(word)
        runs = [folder] if (folder / LOG).is_file() else sorted(folder.glob("*"))
        logged = [run for run in runs if (run / LOG).is_file()]
        if not logged:
            state = "found none" if folder.is_dir() else "but there is no such folder"
            raise DataError(f"{folder} must hold {LOG} of a training run, {state}; name the folder of a run.")
        for run in logged:
            progress, training = read_progress(run), read_training(run)
            if progress is None:
                raise DataError(f"{run / LOG} must have a value of {VAL}, found none; train until a validation.")
            depth = training.architecture.get("depth", 0) if training is not None else 0
            curves.append((depth, name or (f"depth {depth}" if depth else run.name), progress))
    return [(label, progress) for _, label, progress in sorted(curves, key=lambda curve: curve[0])]
