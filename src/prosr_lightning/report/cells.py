"""Cells of scores, with the best marked at the printed digits."""

from __future__ import annotations

from collections.abc import Sequence

from prosr_lightning.report.published import PublishedScore
from prosr_lightning.runs.scores import SummaryRow
from prosr_lightning.tables import Cell, Value, mark_values, text_cell


def score_cells(
    scores: Sequence[SummaryRow | PublishedScore | None], absent: str, doubts: Sequence[tuple[str, str]] | None = None
) -> list[Cell]:
    """Return "PSNR / SSIM" of each row of a column, the best and the second best of both marked.

    Args:
        scores: None where there is none.
        absent: What stands there instead.
        doubts: For each, which of "psnr_db" and "ssim" takes no part in the marks, and the letter of its note.
    """
    doubts = doubts or [("", "")] * len(scores)
    columns = []
    for key, digits in (("psnr_db", 2), ("ssim", 4)):
        numbers = [None if score is None else round(float(getattr(score, key)), digits) for score in scores]
        sure = [None if doubt == key else number for number, (doubt, _) in zip(numbers, doubts, strict=True)]
        columns.append(
            [
                None
                if number is None
                else Value(text=f"{number:.{digits}f}", mark=mark, note=letter if doubt == key else "")
                for number, mark, (doubt, letter) in zip(numbers, mark_values(sure), doubts, strict=True)
            ]
        )
    return [
        text_cell(absent) if psnr is None or ssim is None else Cell(values=(psnr, ssim))
        for psnr, ssim in zip(*columns, strict=True)
    ]
