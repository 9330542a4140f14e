"""The rows of an image that arrive from the top, kept while they are needed: what lets passes feed each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Band = TypeVar("Band", Tensor, npt.NDArray[np.generic])


class Rows(Generic[Band]):
    """A window on an image that is made while it is read: rows are asked for in rising order, and forgotten.

    Args:
        bands: Rows from the top, tensors `(..., h, W)` or arrays `(h, W, C)`; they are asked for when they are needed.
        height: Rows in all.
        width: Of each.
    """

    def __init__(self, bands: Iterator[Band], *, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._bands: Iterator[Band] = bands
        self._held: Band | None = None
        self._first = self._end = 0

    @classmethod
    def whole(cls, image: Band) -> Rows[Band]:
        """Take an image that is there."""
        height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.shape[-2:]
        return cls(iter((image,)), height=height, width=width)

    def take(self, begin: int, end: int) -> Band:
        """Return rows `begin` to `end - 1`; none of them may be forgotten."""
        assert self._first <= begin < end <= self.height, f"rows {begin} to {end} of {self._first} to {self.height}"
        parts = [] if self._held is None else [self._held]
        while self._end < end:
            band = next(self._bands)
            parts.append(band)
            self._end += len(band) if isinstance(band, np.ndarray) else band.shape[-2]
        if len(parts) > 1:
            self._held = _joined(parts)
        elif parts:
            self._held = parts[0]
        assert self._held is not None
        return _cut(self._held, begin - self._first, end - self._first)

    def forget(self, before: int) -> None:
        """Let go of the rows above a place, as far as they have come."""
        before = min(before, self._end)
        if self._held is not None and before > self._first:
            self._held = _cut(self._held, before - self._first, self._end - self._first)
            self._first = before


def _cut(band: Band, begin: int, end: int) -> Band:
    return band[begin:end] if isinstance(band, np.ndarray) else band[..., begin:end, :]


def _joined(parts: list[Band]) -> Band:
    if isinstance(parts[0], np.ndarray):
        return cast(Band, np.concatenate(parts))
    return torch.cat(parts, dim=-2)
