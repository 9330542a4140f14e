"""The paper's own numbers, from the CSV files in the package."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SETS = ("Set5", "Set14", "BSDS100", "Urban100", "Manga109")  # the columns of Tables 2, 3, 4 and 6


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """One cell of a printed table.

    Attributes:
        table: 2 to 6.
        method: The row's name, as printed.
        scale: The factor.
        dataset: The column.
        psnr_db: PSNR in dB, two decimals.
        ssim: SSIM, four decimals.
        doubtful: "psnr_db" or "ssim" where that value is probably a misprint; "" otherwise.
        note: Why.
    """

    table: int
    method: str
    scale: int
    dataset: str
    psnr_db: float
    ssim: float
    doubtful: str = ""
    note: str = ""


def published_scores(table: int) -> tuple[PublishedScore, ...]:
    """Return the cells of a printed table in its order.

    Returns:
        One score for each method, scale and set; empty for any other table.

    Examples:
        >>> published_scores(5)[0].psnr_db
        28.43
    """
    return tuple(score for score in _scores() if score.table == table)


def structure_rows() -> list[dict[str, str]]:
    """Return the rows of Table 1, as printed: `method`, `input`, `layers_at_4x` and `mode`."""
    return _read("table1_structure.csv")


@cache
def _scores() -> tuple[PublishedScore, ...]:
    scores = []
    for row in _read("published.csv"):
        doubtful, _, note = row["note"].partition(": ")
        scores.append(
            PublishedScore(
                table=int(row["table"].removeprefix("table")),
                method=row["method"],
                scale=int(row["scale"]),
                dataset=row["dataset"],
                psnr_db=float(row["psnr_db"]),
                ssim=float(row["ssim"]),
                doubtful=doubtful,
                note=note,
            )
        )
    return tuple(scores)


def _read(name: str) -> list[dict[str, str]]:
    text = (files("prosr_lightning") / "published" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
