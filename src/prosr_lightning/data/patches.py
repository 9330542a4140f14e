"""Random HR patches, whole batches at a time, that depend on the seed, the epoch and the batch number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from prosr_lightning.data.cache import CachedImage, Planes
from prosr_lightning.imaging.geometry import NUM_SYMMETRIES
from prosr_lightning.imaging.resize import symmetric_index


class BatchKey(NamedTuple):
    """Which batch of a training run.

    Attributes:
        epoch: Counts from 0.
        number: Counts over all devices within the epoch; epoch and number are never used twice in a run.
        step: Counts on each device within the epoch.
    """

    epoch: int
    number: int
    step: int = 0


# Where the next batch of a run stands, as a checkpoint keeps it: its epoch, its step ("batch"), its number on the first
# device and the batches of an epoch on each device. Older checkpoints have the first two alone.
Position = dict[str, int]
# HR patches (N, C, S + 2m, S + 2m) uint8, their symmetry codes (N,), the key, and LR patches where they are given.
RawBatch = tuple[Tensor, Tensor, BatchKey] | tuple[Tensor, Tensor, BatchKey, Tensor]


def fit_position(position: Position, batches: int) -> Position:
    """Return where a run goes on whose epochs have another number of batches than before.

    The same share of the epoch counts as done, rounded down, and numbers go on from those that were used: no batch is
    drawn twice.

    Args:
        position: Of the earlier run, complete.
        batches: Batches of an epoch on each device from now on.

    Examples:
        >>> fit_position({"epoch": 2, "batch": 3, "number": 3, "batches": 4}, batches=8)
        {'epoch': 2, 'batch': 6, 'number': 3, 'batches': 8}
    """
    return {**position, "batch": position["batch"] * batches // position["batches"], "batches": batches}


@dataclass(kw_only=True, eq=False, repr=False)
class PatchBatches(Dataset[RawBatch]):
    """Cut batches of HR patches, with their surroundings, from cached photographs.

    Every aligned position in every photograph is equally likely. A batch is a function of `(seed, epoch, number)`, so
    it is the same with any number of workers, and no two batches share their randomness.

    Args:
        images: Cached photographs.
        crop: Side of the HR patch; a multiple of `scale`.
        scale: Largest factor; patches lie on its grid.
        batch_size: Patches in a batch.
        margin: Pixels around a patch, see `Degradation.margin`.
        seed: Seed of the run.
        redraw: Draw new patches in each epoch; False repeats those of the first.
        lr: The LR image of each photograph, smaller by `scale`, where LR patches are to be cut as well.
    """

    images: Sequence[CachedImage]
    crop: int
    scale: int
    margin: int
    batch_size: int
    seed: int
    redraw: bool = True
    lr: Sequence[CachedImage] = ()

    def __post_init__(self) -> None:
        scale, crop = self.scale, self.crop
        self._columns = np.array([(image.width // scale * scale - crop) // scale + 1 for image in self.images])
        rows = np.array([(image.height // scale * scale - crop) // scale + 1 for image in self.images])
        self._ends = np.cumsum(rows * self._columns)
        self._open: dict[Path, Planes] = {}

    def __getitem__(self, key: BatchKey) -> RawBatch:
        """Return the raw batch of a key, a function of it alone."""
        random = np.random.default_rng((self.seed, key.epoch if self.redraw else 0, key.number))
        positions = random.integers(self._ends[-1], size=self.batch_size)
        codes = random.integers(NUM_SYMMETRIES, size=self.batch_size)
        places = [self._place(int(position)) for position in positions]
        patches = self._cut(self.images, places, self.scale, self.crop, self.margin)
        if not self.lr:
            return patches, torch.from_numpy(codes), key
        return patches, torch.from_numpy(codes), key, self._cut(self.lr, places, 1, self.crop // self.scale, 0)

    def __getstate__(self) -> dict[str, Any]:
        """Leave open memory maps behind: a worker process maps the files itself."""
        return {**self.__dict__, "_open": {}}

    def _place(self, position: int) -> tuple[int, int, int]:
        """Return the photograph of a position counted over all of them, and its row and column on the grid."""
        number = int(np.searchsorted(self._ends, position, side="right"))
        within = position - (int(self._ends[number - 1]) if number else 0)
        return number, *divmod(within, int(self._columns[number]))

    def _cut(
        self, images: Sequence[CachedImage], places: Sequence[tuple[int, int, int]], step: int, crop: int, margin: int
    ) -> Tensor:
        """Copy a patch at each place of a grid of `step` pixels, mirrored where its margin leaves the image."""
        side = crop + 2 * margin
        patches = np.empty((len(places), len(self._pixels(images[0])), side, side), dtype=np.uint8)
        for out, (number, row, column) in zip(patches, places, strict=True):
            image, pixels = images[number], self._pixels(images[number])
            top, left = row * step - margin, column * step - margin
            height, width = image.height // step * step, image.width // step * step
            bottom, right = top + side, left + side
            if top >= 0 and left >= 0 and bottom <= height and right <= width:
                out[:] = pixels[:, top:bottom, left:right]
            else:
                rows = symmetric_index(height, top, bottom).numpy()
                columns = symmetric_index(width, left, right).numpy()
                out[:] = pixels[:, rows[:, None], columns]
        return torch.from_numpy(patches)

    def _pixels(self, image: CachedImage) -> Planes:
        if image.file not in self._open:
            self._open[image.file] = np.asarray(image.open())  # a memmap is slower to slice
        return self._open[image.file]


class DealingSampler(DistributedSampler[Any]):
    """Deal items out to the devices: Lightning puts a sampler of its own around every other kind, and deals twice.

    Args:
        rank: Number of this device.
        world_size: Number of devices.
    """

    def __init__(self, *, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size
        self.num_replicas = 1  # what the base class pads to: nothing here is given out twice


class EpochSampler(DealingSampler):
    """Give this device its share of the batches of one epoch, or of what is left of it.

    Args:
        batches: Batches of an epoch on each device.
        begin: Returns where to begin; asked for each iteration.
        rank: Number of this device.
        world_size: Number of devices.
    """

    def __init__(self, *, batches: int, begin: Callable[[], Position], rank: int = 0, world_size: int = 1) -> None:
        super().__init__(rank=rank, world_size=world_size)
        self.batches, self.begin = batches, begin

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[BatchKey]:
        position = self.begin()
        start = position["batch"]
        number = position.get("number", start * self.world_size)
        for step in range(start, self.batches):
            yield BatchKey(position["epoch"], number + (step - start) * self.world_size + self.rank, step)


class PatchLoader(DataLoader[RawBatch]):
    """A loader of ready batches that can be stopped and resumed in the middle of an epoch.

    Args:
        dataset: The batches.
        sampler: Their order.
        num_workers: Worker processes; 0 cuts in the training process.
        pin_memory: Page-lock the batches for a GPU.
        position: Returns where the next batch stands; asked when a checkpoint is saved, because batches that are cut
            ahead of their use do not count.
        resume: Called with the position at which the sampler shall begin.
    """

    def __init__(
        self,
        *,
        dataset: PatchBatches,
        sampler: EpochSampler,
        num_workers: int,
        pin_memory: bool,
        position: Callable[[], Position],
        resume: Callable[[Position], None],
    ) -> None:
        super().__init__(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
        )
        self.position, self.resume = position, resume

    def state_dict(self) -> Position:
        """Return where the next batch stands; Lightning restores it only in the middle of an epoch."""
        return self.position()

    def load_state_dict(self, state: Position) -> None:
        """Begin the next iteration where `state` says."""
        self.resume(state)
