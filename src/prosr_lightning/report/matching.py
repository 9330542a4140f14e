"""Which row of a printed table a run belongs to."""

from __future__ import annotations

import re

from prosr_lightning.imaging.degradation import BICUBIC
from prosr_lightning.runs.record import RunRecord
from prosr_lightning.runs.scored import Run

# Table 3: A is LapSRN's own chain of convolutions, which a plain structure repeats within ProSRN.
_TABLE3_ROWS = {"plain": "LapSRN", "residual": "Residual", "memory": "Memory"}


def same_row(name: str, other: str) -> bool:
    """Compare names of rows: "ProSRN (Ours 2x,4x)", "ProSRN (2x, 4x)" and "ProSRN (train 2x)" differ by table only.

    Examples:
        >>> same_row("ProSRN (Ours 2x,4x)", "prosrn (2x, 4x)")
        True
    """
    return _plain(name) == _plain(other)


def rows_for(run: Run, table: int, scale: int) -> list[str]:
    """Return the names of the rows a run may stand in, the best first.

    Returns:
        Names to compare by `same_row`; empty where the run is not what any printed row is: another depth or width, or
        the mean over eight symmetries, in bfloat16, or from other LR images than bicubic ones.
    """
    if run.name is not None:
        return [run.name]
    info = run.info
    if info.self_ensemble or info.bf16 or info.degradation != BICUBIC or info.chroma != "bicubic":
        return []
    if run.training is not None:
        return _rows_for_training(run.training, table)
    trained_for_this_scale = [f"LapSRN ({scale}x)"] if same_row(run.info.method, "LapSRN") else []
    return [*trained_for_this_scale, run.info.method]


def _rows_for_training(training: RunRecord, table: int) -> list[str]:
    differs = set(training.settings)
    if training.method == "ProSRN":
        if table == 3:
            structure = training.settings.get("structure", "memory")
            return [_TABLE3_ROWS[structure]] if training.levels == (2,) and not differs - {"structure"} else []
        return [] if differs else [f"ProSRN ({','.join(f'{level}x' for level in training.levels)})"]
    names = [f"{training.method} ({training.levels[-1]}x)"] if training.levels else []
    return [] if differs else [*names, training.method]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]|ours|train", "", name.casefold())
