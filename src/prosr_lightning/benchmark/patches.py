"""Data: patches per second of the luminance cache over those of the usual way, and the cache's own cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from prosr_lightning.benchmark.comparing import Section, compare
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.data.cache import CachedImage, Progress, load_photographs
from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.imaging.color import rgb_to_ycbcr
from prosr_lightning.imaging.degradation import Bicubic, Degradation
from prosr_lightning.imaging.pyramid import level_pyramid
from prosr_lightning.imaging.resize import symmetric_index

_SCALE = 2
_WITHOUT_END = 10**9  # patches of an epoch
_AHEAD = 2  # batches that each process of a DataLoader loads before they are asked for


@dataclass(kw_only=True, eq=False, repr=False)
class GivenPhotographs(PatchDataModule):
    """Train on given files."""

    photographs: Sequence[Path]

    def training_photographs(self) -> list[Path]:
        """Return the given files."""
        return list(self.photographs)

    def validation_sets(self) -> list[Benchmark]:
        """Return nothing."""
        return []


class UsualPatches(Dataset[tuple[Tensor, Tensor]]):
    """The usual way: for each patch, decode a photograph, take a random crop, shrink it with Pillow.

    Args:
        photographs: Files, none smaller than `crop`.
        crop: Side of the HR patch.
        length: Patches of an epoch.
        degradation: Degrades each patch by itself, in colour, as BasicSR's data sets do in their workers; bicubic is
            Pillow's.
    """

    def __init__(self, photographs: Sequence[Path], *, crop: int, length: int, degradation: Degradation) -> None:
        self.photographs, self.crop, self.length = list(photographs), crop, length
        self.degradation = degradation

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return LR and HR luminance."""
        random = np.random.default_rng(number)
        if not isinstance(self.degradation, Bicubic):
            return self._degraded(number, random)
        with Image.open(self.photographs[number % len(self.photographs)]) as image:
            luminance = image.convert("RGB").convert("YCbCr").getchannel("Y")
        left, top = (int(random.integers(extent - self.crop + 1)) for extent in luminance.size)
        hr = luminance.crop((left, top, left + self.crop, top + self.crop))
        side = self.crop // _SCALE
        lr = hr.resize((side, side), Image.Resampling.BICUBIC)
        small, large = (torch.from_numpy(np.asarray(plane, np.float32)[None] / 255) for plane in (lr, hr))
        return small, large

    def _degraded(self, number: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        with Image.open(self.photographs[number % len(self.photographs)]) as image:
            rgb = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        margin = self.degradation.margin(_SCALE)
        rows, columns = (
            symmetric_index(extent, start - margin, start + self.crop + margin)
            for extent in rgb.shape[-2:]
            for start in [int(random.integers(extent - self.crop + 1))]
        )
        hr = rgb_to_ycbcr(rgb[:, rows[:, None], columns].float() / 255)[None]
        lr, hrs = level_pyramid(hr, scale=_SCALE, levels=[_SCALE], degradation=self.degradation, draw=(number,))
        return lr[0], hrs[_SCALE][0]


class Stream:
    """Batches of a loader whose processes do not work ahead of the clock."""

    def __init__(self, make: Callable[[], DataLoader[Any]], *, workers: int) -> None:
        self.make, self.ahead = make, _AHEAD * workers
        self._batches: Iterator[Any] | None = None

    def begin(self) -> None:
        """Start if need be, and take what was loaded ahead."""
        if self._batches is None:
            self._batches = iter(self.make())
        for _ in self.take(self.ahead):
            pass

    def end(self) -> None:
        """Stop the processes."""
        self._batches = None

    def take(self, count: int) -> Iterator[Any]:
        """Yield as many batches."""
        assert self._batches is not None, "begin() comes first"
        for _ in range(count):
            yield next(self._batches)


def measure_data(
    photographs: Sequence[Path],
    cache_dir: Path,
    *,
    crop: int = 128,
    batch_size: int = 64,
    workers: int = 0,
    degradation: Degradation | None = None,
    batches: int = 50,
    rounds: int = 3,
    progress: Progress | None = None,
) -> Section:
    """Compare ready training patches, LR and HR, and time the cache.

    Args:
        photographs: Files; those that cannot be used are left out.
        cache_dir: An empty folder, or one that an earlier call has filled: then only opening it is timed.
        crop: Side of the HR patch.
        batch_size: Patches in a batch.
        workers: Processes that load, of both ways; 0 loads in this process.
        degradation: Makes LR, of both ways; None for bicubic.
        batches: Of a round of ours; the usual way does two, and with processes two of each.
        rounds: How often each is measured, in turns.
        progress: Called with (photographs done, in all) while the cache is built.

    Returns:
        The comparison; the seconds and the size of the cache, as values.
    """
    degradation = degradation or Bicubic()
    settings: dict[str, object] = {
        "photographs": len(photographs),
        "crop": crop,
        "batch_size": batch_size,
        "workers": workers,
    }
    settings |= {} if isinstance(degradation, Bicubic) else {"degradation": degradation.name}
    section = Section(name="data_processes" if workers else "data", settings=settings)
    images = _open_cache(photographs, cache_dir, crop, degradation.color, section, progress)
    module = GivenPhotographs(
        photographs=[image.source for image in images],
        levels=(_SCALE,),
        crop=crop,
        batch_size=batch_size,
        patches_per_epoch=_WITHOUT_END,
        num_workers=workers,
        cache_dir=cache_dir,
        degradation=degradation,
    )
    module.prepare_data()
    usual = UsualPatches(module.photographs, crop=crop, length=_WITHOUT_END, degradation=degradation)
    _compare(
        module,
        Stream(module.train_dataloader, workers=workers),
        Stream(lambda: DataLoader(usual, batch_size=batch_size, num_workers=workers), workers=workers),
        batches,
        rounds,
        section,
    )
    return section


def _open_cache(
    photographs: Sequence[Path], cache_dir: Path, crop: int, color: bool, section: Section, progress: Progress | None
) -> list[CachedImage]:
    def load(progress: Progress | None) -> tuple[list[CachedImage], float]:
        begun = time.perf_counter()
        images = load_photographs(
            cache_dir, photographs, color=color, min_side=crop, on_bad_image="skip", progress=progress
        )
        return images, time.perf_counter() - begun

    if not cache_dir.is_dir() or not any(cache_dir.iterdir()):
        section.values["seconds to build the cache"] = load(progress)[1]
    images, section.values["seconds to open it again"] = load(None)
    section.values["photographs used"] = len(images)
    section.values["megapixels of photographs"] = sum(image.height * image.width for image in images) / 1e6
    section.values["megabytes of the cache"] = sum(image.file.stat().st_size for image in images) / 1e6
    return images


def _compare(module: PatchDataModule, ours: Stream, usual: Stream, batches: int, rounds: int, section: Section) -> None:
    def cut() -> float:
        return float(sum(len(patches) for patches, *_ in ours.take(batches)))

    def finish() -> float:
        return float(sum(len(module.on_after_batch_transfer(batch, 0)["lr"]) for batch in ours.take(batches)))

    def decode() -> float:
        return float(sum(len(lr) for lr, _ in usual.take(max(2, usual.ahead))))

    def turn_to_ours() -> None:
        usual.end()  # ours may go on: it fills its queue in no time, and then waits
        ours.begin()

    turn_to_ours()
    cut()  # open the memory maps
    before = {"cut": turn_to_ours, "finish": turn_to_ours, "usual": usual.begin}
    rates = compare({"cut": cut, "finish": finish, "usual": decode}, rounds=rounds, before=before, warm_up=False)
    ours.end()
    usual.end()
    for name, key in (
        ("cutting over the usual way", "cut"),
        ("cutting, flips and pyramid over the usual way", "finish"),
    ):
        goal = 20.0 if isinstance(module.degradation, Bicubic) else None
        section.add(name, "HR patches/s", rates[key], rates["usual"], goal=goal)
