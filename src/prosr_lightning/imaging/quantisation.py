"""The quantisation tables of JPEG files, and the quality that they tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# ITU-T T.81, Annex K.1: the tables that libjpeg scales by the quality.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def steps(base: Sequence[Sequence[int]], quality: npt.NDArray[np.number]) -> npt.NDArray[np.int64]:
    """Return the quantisation steps `(N, 64)` of each quality: libjpeg's `jpeg_quality_scaling`.

    Args:
        base: `LUMA` or `CHROMA`.
        quality: `(N,)`, whole numbers from 1 to 100.
    """
    whole = quality.astype(np.int64)
    percent = np.where(whole < 50, 5000 // whole, 200 - 2 * whole)
    return ((np.array(base).ravel() * percent[:, None] + 50) // 100).clip(1, 255)


def quality_of_table(table: Sequence[int]) -> int:
    """Return the quality whose luma table is the nearest; exact for files of libjpeg.

    Args:
        table: 64 quantisation steps, row by row.

    Example:
        >>> quality_of_table([step for row in LUMA for step in row])  # the tables of the standard are those of 50
        50
    """
    qualities = np.arange(1, 101)
    return int(qualities[np.abs(steps(LUMA, qualities) - np.array(table)).sum(axis=1).argmin()])
