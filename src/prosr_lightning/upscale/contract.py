"""What the chain of passes asks of an engine; `engines` has PyTorch, `runtimes` what runs exported networks."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Generic, Protocol

from prosr_lightning.imaging.arrays import Array

if TYPE_CHECKING:
    import torch

ENGINES = ("torch", "onnxruntime", "openvino", "ncnn")  # which are the names of their modules too
FASTEST = "auto"  # of them


class RunRows(Protocol[Array]):
    """One pass on one image whose rows come in one band after the other."""

    def __call__(self, lr: Array, *, last: bool) -> Array:
        """Take the next rows `(N, 1, h, W)` and return those `(N, 1, H, factor * W)` that are known by then."""
        ...


@dataclass(frozen=True)
class Streamed(Generic[Array]):
    """How to run one pass row by row.

    Attributes:
        run: Takes the rows in.
        rows: How many at a time.
        ahead: How many more at first: as many as the network looks down.
    """

    run: RunRows[Array]
    rows: int
    ahead: int


class Engine(Protocol[Array]):
    """Runs one pass of a network on one window."""

    @property
    def device(self) -> torch.device | str:
        """Where it computes; "cpu" where there is no other."""
        ...

    @property
    def arrays(self) -> ModuleType:
        """What it takes and returns arrays of, numpy or torch."""
        ...

    def enlarge(self, window: Array, factor: int, *, exact: bool) -> Array:
        """Enlarge `(N, 1, h, w)` by `factor`; `exact` asks for float32 although half precision was automatic."""
        ...

    def streamed(self, factor: int, *, count: int, width: int) -> Streamed[Array] | None:
        """Return what enlarges an image from top to bottom without tiles, or None where this engine cannot.

        Args:
            factor: As in `enlarge`.
            count: Planes of the image, N.
            width: Its columns.
        """
        ...

    def passes(self, scale: int) -> list[tuple[int, int]]:
        """Return the factor and the halo of each pass."""
        ...

    def bytes_per_pixel(self, factor: int) -> int:
        """Return a generous estimate of the memory for one pixel of the window."""
        ...


def default_engine() -> str:
    """Return "torch" where PyTorch and what runs it are installed, else "onnxruntime"."""
    there = all(importlib.util.find_spec(name) for name in ("torch", "prosr_lightning.upscale.engines"))
    return "torch" if there else "onnxruntime"
