"""The rows of an image that arrive from the top, kept while they are needed: what lets passes feed each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic

from prosr_lightning.imaging.arrays import Array, namespace


class Rows(Generic[Array]):
    """A window on an image that is made while it is read: rows are asked for in rising order, and forgotten.

    Args:
        bands: Rows from the top; they are asked for when they are needed.
        height: Rows in all.
        width: Of each.
        axis: Of the rows in a band: -2 of planes `(..., h, W)`, -3 of pixels `(h, W, C)`.
    """

    def __init__(self, bands: Iterator[Array], *, height: int, width: int, axis: int = -2) -> None:
        self.height, self.width = height, width
        self._bands, self._axis = bands, axis
        self._held: Array | None = None
        self._first = self._end = 0

    @classmethod
    def whole(cls, planes: Array) -> Rows[Array]:
        """Take planes `(..., H, W)` that are there."""
        height, width = planes.shape[-2:]
        return cls(iter((planes,)), height=height, width=width)

    def take(self, begin: int, end: int) -> Array:
        """Return rows `begin` to `end - 1`; none of them may be forgotten."""
        assert self._first <= begin < end <= self.height, f"rows {begin} to {end} of {self._first} to {self.height}"
        parts = [] if self._held is None else [self._held]
        while self._end < end:
            band = next(self._bands)
            parts.append(band)
            self._end += band.shape[self._axis]
        if parts:
            self._held = parts[0] if len(parts) == 1 else namespace(parts[0]).concatenate(parts, axis=self._axis)
        assert self._held is not None
        return self._cut(self._held, begin, end)

    def forget(self, before: int) -> None:
        """Let go of the rows above a place, as far as they have come."""
        before = min(before, self._end)
        if self._held is not None and before > self._first:
            self._held = self._cut(self._held, before, self._end)
            self._first = before

    def _cut(self, held: Array, begin: int, end: int) -> Array:
        return held[(..., slice(begin - self._first, end - self._first), *(slice(None),) * (-1 - self._axis))]
