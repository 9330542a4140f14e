"""Data: patches per second of the luminance cache over those of the usual way, and the cache's own cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from prosr_lightning.benchmarking.comparing import Comparison, Section, compare
from prosr_lightning.data.cache import CachedImage, LuminanceCache, Progress
from prosr_lightning.data.patches import EpochSampler, PatchBatches, PatchLoader
from prosr_lightning.imaging.geometry import apply_symmetries
from prosr_lightning.imaging.pyramid import level_pyramid

_SCALE = 2


class UsualPatches(Dataset[tuple[Tensor, Tensor]]):
    """The usual way: for each patch, decode a photograph, take a random crop, shrink it with Pillow.

    Args:
        photographs: Files.
        crop: Side of the HR patch.
        length: Patches of an epoch.
    """

    def __init__(self, photographs: Sequence[Path], *, crop: int, length: int) -> None:
        self.photographs, self.crop, self.length = list(photographs), crop, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return LR and HR luminance."""
        random = np.random.default_rng(number)
        with Image.open(self.photographs[number % len(self.photographs)]) as image:
            luminance = image.convert("RGB").convert("YCbCr").getchannel("Y")
        left, top = (int(random.integers(extent - self.crop + 1)) for extent in luminance.size)
        hr = luminance.crop((left, top, left + self.crop, top + self.crop))
        side = self.crop // _SCALE
        lr = hr.resize((side, side), Image.Resampling.BICUBIC)
        small, large = (torch.from_numpy(np.asarray(one, np.float32)[None] / 255) for one in (lr, hr))
        return small, large


def measure_data(
    photographs: Sequence[Path],
    cache_dir: Path,
    *,
    crop: int = 128,
    batch_size: int = 64,
    workers: int = 0,
    batches: int = 50,
    rounds: int = 3,
    progress: Progress | None = None,
) -> Section:
    """Compare ready training patches, LR and HR, and time the cache.

    Args:
        photographs: Files.
        cache_dir: An empty folder.
        crop: Side of the HR patch.
        batch_size: Patches in a batch.
        workers: Processes that load, of both ways; 0 loads in this process.
        batches: Of a round of ours; the usual way does a tenth.
        rounds: How often each is measured, in turns.
        progress: Called with (photographs done, in all) while the cache is built.

    Returns:
        The comparison; patches per second of the cutting alone, and seconds of the cache, as values.
    """
    settings = {"photographs": len(photographs), "crop": crop, "batch_size": batch_size, "workers": workers}
    section = Section(name="data", settings=settings)
    images = _timed(section, "seconds to build the cache", lambda: _load(cache_dir, photographs, crop, progress))
    _timed(section, "seconds to open it again", lambda: _load(cache_dir, photographs, crop, None))
    section.values["megapixels of photographs"] = sum(one.height * one.width for one in images) / 1e6

    dataset = PatchBatches(images=images, crop=crop, scale=_SCALE, batch_size=batch_size, seed=0)
    ours = PatchLoader(
        dataset=dataset,
        sampler=EpochSampler(batches=10**9),
        num_workers=workers,
        pin_memory=False,
        position=lambda: (0, 1),
    )
    usual = DataLoader(
        UsualPatches(photographs, crop=crop, length=10**9),
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    streams = iter(ours), cast(Iterator[tuple[Tensor, Tensor]], iter(usual))

    def cut() -> float:
        for _ in range(batches):
            next(streams[0])
        return float(batches * batch_size)

    def finish() -> float:
        for _ in range(batches):
            patches, codes = next(streams[0])
            level_pyramid(apply_symmetries(patches.float().div_(255), codes), scale=_SCALE, levels=(_SCALE,))
        return float(batches * batch_size)

    def decode() -> float:
        few = max(1, batches // 10)
        for _ in range(few):
            next(streams[1])
        return float(few * batch_size)

    rates = compare({"cut": cut, "finish": finish, "usual": decode}, rounds=rounds)
    unit = "HR patches/s"
    for name, key in (
        ("cutting over the usual way", "cut"),
        ("cutting, flips and pyramid over the usual way", "finish"),
    ):
        section.comparisons.append(
            Comparison(name=name, unit=unit, measured=rates[key], against=rates["usual"], goal=20.0)
        )
    section.values["HR patches/s cut, the best round"] = max(rates["cut"])
    section.values["HR patches/s with flips and pyramid, the best round"] = max(rates["finish"])
    return section


def _load(cache_dir: Path, photographs: Sequence[Path], crop: int, progress: Progress | None) -> list[CachedImage]:
    return LuminanceCache(cache_dir).load(photographs, min_side=crop, on_bad_image="skip", progress=progress)


def _timed(section: Section, name: str, task: Callable[[], list[CachedImage]]) -> list[CachedImage]:
    begun = time.perf_counter()
    result = task()
    section.values[name] = time.perf_counter() - begun
    return result
