"""Whole validation images as exact float YCbCr or luminance, each on one device only."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.data.pairing import given_lr
from prosr_lightning.data.patches import DealingSampler
from prosr_lightning.errors import DataError, ImageError, listing
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr
from prosr_lightning.imaging.io import read_rgb

log = logging.getLogger(__name__)

_SMALLEST = 8  # pixels: less is nothing once the border is left out at 2x


class ValidationImages(Dataset[dict[str, Any]]):
    """Read validation images, one an item.

    Args:
        sets: The data sets.
        limit: Use only the first images of each set; None takes all.
        color: Also give `ycbcr`, `(1, 3, H, W)`, for a degradation that needs it.
        lr_scale: Give `given`, the LR images of the sets, `(1, 1, H, W)`, which are smaller by this factor.
    """

    def __init__(
        self,
        *,
        sets: Sequence[Benchmark],
        limit: int | None = None,
        color: bool = False,
        lr_scale: int | None = None,
    ) -> None:
        self.color = color
        self.lr = {} if lr_scale is None else given_lr(sets, lr_scale)
        self.items = [
            (benchmark.name, number, path) for benchmark in sets for number, path in enumerate(benchmark.images[:limit])
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, bool]) -> dict[str, Any]:
        """Return `hr`, luminance `(1, 1, H, W)` float32, `set`, `image` and its `number` in the set, and `counts`.

        `counts` is False for the fillers that keep the devices in step; they must not enter a mean.
        """
        index, counts = key
        name, number, path = self.items[index]
        rgb = _read(path)
        further = {"ycbcr": rgb_to_ycbcr(rgb).float()[None]} if self.color else {}
        if path in self.lr:
            further["given"] = rgb_to_luminance(_read(self.lr[path])).float()[None]
        return {
            "hr": rgb_to_luminance(rgb).float()[None],
            **further,
            "set": name,
            "image": path.stem,
            "number": number,
            "counts": counts,
        }


def _read(path: Path) -> Tensor:
    return torch.from_numpy(read_rgb(path).copy()).permute(2, 0, 1).double().div_(255)


def require_readable(images: ValidationImages) -> None:
    """Read every validation image once, so that a bad one is known before training and not after an epoch.

    Args:
        images: What validation will read.

    Raises:
        DataError: With the first ten images that cannot be read or are too small to be scored.
    """
    problems = [problem for *_, path in images.items if (problem := _problem(path))]
    if problems:
        raise DataError(
            f"{len(problems)} of {len(images)} validation images cannot be used; repair or remove them, choose "
            f"other data.val_sets, or set data.on_bad_image=skip if they are held out of data.train_dir:"
            f"{listing(problems)}"
        )


def readable(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the images that can be scored, and warn of the others."""
    problems = {path: problem for path in paths if (problem := _problem(path))}
    if problems:
        log.warning(
            "Left out %d validation images that cannot be used:%s", len(problems), listing(list(problems.values()))
        )
    return tuple(path for path in paths if path not in problems)


def _problem(path: Path) -> str | None:
    """Say why an image cannot be scored; None if it can."""
    try:
        height, width = read_rgb(path).shape[:2]
    except ImageError as error:
        return str(error)
    if min(height, width) < _SMALLEST:
        return f"{path} must be at least {_SMALLEST}x{_SMALLEST} pixels, got {width}x{height}."
    return None


class ShardSampler(DealingSampler):
    """Deal the items out to the devices; where they do not go round, fillers are marked as not counting.

    Args:
        length: Number of items.
        rank: Number of this device.
        world_size: Number of devices.
    """

    def __init__(self, *, length: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(rank=rank, world_size=world_size)
        self.length = length

    def __len__(self) -> int:
        return math.ceil(self.length / self.world_size)

    def __iter__(self) -> Iterator[tuple[int, bool]]:
        for step in range(len(self)):
            index = step * self.world_size + self.rank
            yield (index, True) if index < self.length else (self.length - 1, False)
