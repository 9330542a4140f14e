"""Rows that come from above: what is asked for, what is kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from prosr_lightning.imaging.rows import Rows


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_rows_are_those_of_the_whole_whatever_the_bands(kind: str) -> None:
    image = torch.rand(2, 23, 5) if kind == "tensor" else np.random.default_rng(0).random((23, 5, 2))

    def bands() -> Iterator[object]:
        for top in range(0, 23, 4):
            yield image[:, top : top + 4] if kind == "tensor" else image[top : top + 4]

    rows = Rows(bands(), height=23, width=5, axis=-2 if kind == "tensor" else -3)
    for begin, end in ((0, 1), (0, 9), (3, 9), (7, 20), (19, 23)):
        rows.forget(begin)
        window = rows.take(begin, end)
        assert np.array_equal(window, image[:, begin:end] if kind == "tensor" else image[begin:end])


def test_rows_are_not_asked_for_before_they_are_needed() -> None:
    asked = list[int]()

    def bands() -> Iterator[torch.Tensor]:
        for top in range(0, 12, 3):
            asked.append(top)
            yield torch.rand(1, 3, 2)

    rows = Rows(bands(), height=12, width=2)
    assert asked == []
    rows.take(0, 3)
    assert asked == [0]
    rows.take(2, 4)
    assert asked == [0, 3]


def test_what_is_forgotten_is_gone() -> None:
    rows = Rows.whole(torch.rand(1, 9, 2))
    rows.take(0, 9)
    rows.forget(4)
    with pytest.raises(AssertionError, match="rows 3 to 5 of 4 to 9"):
        rows.take(3, 5)
