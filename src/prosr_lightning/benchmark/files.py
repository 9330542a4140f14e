"""Files from disk to disk, as the command enlarges them: memory, time by size, many small ones against a large one."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from prosr_lightning.benchmark.comparing import Section
from prosr_lightning.errors import MissingDependencyError, ProSRError
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.reading import read_rows
from prosr_lightning.pictures.writing import write_rows
from prosr_lightning.upscale.batch import Enlargement
from prosr_lightning.upscale.beside import enlarge_all
from prosr_lightning.upscale.memory import forget_peak, peak_bytes
from prosr_lightning.upscale.upscaler import Upscaler

_SMALL = 128  # side of the small pictures
_SMALL_COUNT = 64
_NOTHING = Picture(np.empty((0, 1, 3), np.uint8))  # belongs to them
_SHARES = (1 / 16, 1 / 4, 1)  # of the largest picture


class _Made:
    """A picture of noise, blurred so that it compresses as photographs do; follows `pictures.rows.PixelRows`."""

    def __init__(self, width: int, height: int) -> None:
        self.shape, self.dtype = (height, width, 3), np.dtype(np.uint8)

    def bands(self) -> Iterator[Pixels]:
        height, width, _ = self.shape
        random = np.random.default_rng(0)
        for top in range(0, height, 64):
            coarse = random.integers(0, 256, (18, width // 4 + 2, 3)).astype(np.float32)
            fine = coarse.repeat(4, axis=0).repeat(4, axis=1)
            band = np.mean([fine[at : at + 64, at : at + width] for at in range(4)], axis=0)
            yield (band + random.normal(0, 3, band.shape)).clip(0, 255).astype(np.uint8)[: height - top]


@dataclass(frozen=True)
class _Cost:
    """What a run took: seconds, seconds of processors, and bytes at the peak above those of the started program."""

    seconds: float
    processor_seconds: float
    memory: int

    def values(self, label: str) -> dict[str, float]:
        """Return the three by name."""
        return {
            f"MiB above the started program, {label}": self.memory / 2**20,
            f"seconds, {label}": self.seconds,
            f"processor seconds, {label}": self.processor_seconds,
        }


def measure_files(
    name: str,
    *,
    megapixels: float,
    scale: float,
    extension: str,
    threads: int | None = None,
    engines: Sequence[str] = (),
) -> Section:
    """Enlarge files in processes of their own, which have enlarged a tiny one before: that is the started program.

    Args:
        name: Released weights or a file.
        megapixels: Of the largest picture; a quarter and a sixteenth of it come before.
        scale: Factor.
        extension: "png" or "tif", of the picture and of the result.
        threads: Of the processor; None leaves its choice to the engine.
        engines: Of `upscale.contract.ENGINES`, those beside PyTorch to enlarge the largest picture too; one that is not
            there is skipped.

    Returns:
        Memory and seconds of each, those for a pixel against those of the smallest, those of the engines; small
        pictures against one of their area, and that with chroma by the network.
    """
    section = Section(
        name="files",
        settings={
            "network": name,
            "megapixels": megapixels,
            "scale": scale,
            "ext": extension,
            "threads": threads,
        },
    )
    costs = dict[float, _Cost]()
    with tempfile.TemporaryDirectory() as folder:
        measure = partial(_in_its_own_process, Path(folder), name, scale, extension, threads)
        for share in _SHARES:
            side = round((1e6 * megapixels * share) ** 0.5)
            costs[share] = measure([(side, side)])
            section.values |= costs[share].values(f"{megapixels * share:g} MP at {scale:g}x")
        for engine in engines:
            label = f"{megapixels:g} MP at {scale:g}x by {engine}"
            try:
                section.values |= measure([(side, side)], engine=engine).values(label)
            except MissingDependencyError as error:
                section.skipped[label] = str(error)
        for share in _SHARES[1:]:
            label = f"processor seconds for a pixel, {megapixels * share:g} MP over {megapixels * _SHARES[0]:g} MP"
            per_pixel = {part: costs[part].processor_seconds / part for part in (share, _SHARES[0])}
            section.values[label] = per_pixel[share] / per_pixel[_SHARES[0]]
        small = measure([(_SMALL, _SMALL)] * _SMALL_COUNT)
        large = measure([(_SMALL * 8, _SMALL * _SMALL_COUNT // 8)])
        section.values[f"processor seconds, {_SMALL_COUNT} pictures of {_SMALL}x{_SMALL}"] = small.processor_seconds
        section.values["processor seconds, one picture of their area"] = large.processor_seconds
        network = measure([(_SMALL * 8, _SMALL * _SMALL_COUNT // 8)], chroma="network")
        section.values["processor seconds with chroma by the network, over those without"] = (
            network.processor_seconds / large.processor_seconds
        )
    return section


def _in_its_own_process(
    folder: Path,
    name: str,
    scale: float,
    extension: str,
    threads: int | None,
    sizes: list[tuple[int, int]],
    chroma: str = "bicubic",
    engine: str = "torch",
) -> _Cost:
    jobs = []
    for number, size in enumerate(sizes):
        job = Enlargement(folder / f"{number}.{extension}", folder / f"{number}_enlarged.{extension}")
        write_rows(job.source, [(_NOTHING, _Made(*size))])
        jobs.append(job)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        cost = pool.apply(_enlarge, (name, scale, jobs, threads, chroma, engine))
        pool.close()  # it ends by itself: a process that is ended by force leaks what its progress bars lock
        pool.join()
    for job in jobs:
        job.source.unlink()
        job.target.unlink()
    return cost


def _enlarge(name: str, scale: float, jobs: list[Enlargement], threads: int | None, chroma: str, engine: str) -> _Cost:
    upscaler = Upscaler.from_pretrained(name, device="cpu", chroma=chroma, engine=engine, threads=threads)
    tiny = jobs[0].source.with_name(f"tiny{jobs[0].source.suffix}")
    write_rows(tiny, [(_NOTHING, _Made(64, 64))])
    _run(upscaler, scale, [Enlargement(tiny, tiny.with_stem("tiny_enlarged"))])
    forget_peak(upscaler.engine.device)
    before = peak_bytes(upscaler.engine.device)
    begun, busy = time.perf_counter(), sum(os.times()[:2])
    _run(upscaler, scale, jobs)
    seconds, processors = time.perf_counter() - begun, sum(os.times()[:2]) - busy
    return _Cost(seconds, processors, peak_bytes(upscaler.engine.device) - before)


def _run(upscaler: Upscaler, scale: float, jobs: list[Enlargement]) -> None:
    for job, error in enlarge_all(
        jobs,
        read=partial(read_rows, allow_huge=True),
        enlarge=lambda _job, _part, rows: upscaler.rows(rows, scale),
        write=write_rows,
    ):
        if error is not None:
            raise ProSRError(f"{job.source} could not be enlarged: {error}") from error
