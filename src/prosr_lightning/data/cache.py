"""Decode each training photograph once: 8-bit luminance, or RGB, in memory-mapped files."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from prosr_lightning.errors import DataError, ImageError, listing
from prosr_lightning.imaging.color import rgb_to_luminance
from prosr_lightning.imaging.io import atomic_path, read_rgb

log = logging.getLogger(__name__)

_header = threading.Lock()  # NumPy parses it by `ast`, which two threads of Python before 3.11.8 must not do at once
_VERSION = 1  # raise when the stored pixels would change
Planes = npt.NDArray[np.uint8]  # (C, H, W): luminance rounded to whole steps of 16..235, or R, G and B
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class CachedImage:
    """A photograph's planes on disk.

    Attributes:
        source: The photograph.
        file: Its cache entry, `Planes` or luminance without its first axis.
        height: H.
        width: W.
    """

    source: Path
    file: Path
    height: int
    width: int

    def open(self) -> Planes:
        """Map the pixels read-only; nothing is read before it is used."""
        return _mapped(self.file).reshape(-1, self.height, self.width)


def load_photographs(
    folder: Path | str,
    paths: Sequence[Path],
    *,
    color: bool = False,
    min_side: int = 1,
    shrink: Sequence[float] = (),
    on_bad_image: str = "stop",
    progress: Progress | None = None,
    workers: int | None = None,
) -> list[CachedImage]:
    """Return the cache entries of photographs, decoding in parallel what is new.

    Entries are keyed by path, size, time of change and version.

    Args:
        folder: Where the entries are; made when the first is written.
        paths: Photographs.
        color: Keep R, G and B instead of luminance, in three times the space.
        min_side: Smallest side, in pixels, that can be used.
        shrink: Factors, each in (0, 1), of copies to give as well; those that become smaller than `min_side` are
            left out.
        on_bad_image: "stop" raises when a file is unreadable or too small, "skip" warns and leaves it out.
        progress: Called with (done, total) after each photograph.
        workers: Threads that decode; None takes one per core.

    Returns:
        One entry per usable photograph, in the order of `paths`, then the copies, factor by factor.

    Raises:
        DataError: With the first ten bad files and their reasons if there are any and `on_bad_image` is "stop", or
            if none is left.
        StorageError: If the cache cannot be written.
    """
    entry = partial(_entry, Path(folder).expanduser(), color)
    entries: list[CachedImage] = []
    problems: list[str] = []
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for number, result in enumerate(pool.map(entry, paths), start=1):
            if isinstance(result, ImageError):
                problems.append(str(result))
            elif min(result.height, result.width) < min_side:
                problems.append(
                    f"{result.source} must be at least {min_side}x{min_side} pixels for this crop, "
                    f"got {result.width}x{result.height}; choose a smaller data.crop or leave it out."
                )
            else:
                entries.append(result)
            if progress is not None:
                progress(number, len(paths))
        _report(problems, usable=len(entries), on_bad_image=on_bad_image)
        wanted = [(entry, factor) for factor in shrink for entry in entries if min(_size(entry, factor)) >= min_side]
        entries += pool.map(lambda copy: _copy(*copy), wanted)
    return entries


def _entry(folder: Path, color: bool, path: Path) -> CachedImage | ImageError:
    try:
        file = folder / f"{_key(path)}{'_rgb' if color else ''}.npy"
        shape = _shape(file)
        if shape is None:  # new, or damaged
            _write(file, _decode(path, color))
            shape = _shape(file)
        if shape is None:
            return ImageError(f"{file} cannot be read back; check the disk or set paths.cache_dir.")
    except ImageError as error:
        return error
    return CachedImage(source=path, file=file, height=shape[0], width=shape[1])


def _copy(entry: CachedImage, factor: float) -> CachedImage:
    """Return the entry of a shrunk copy, made from the planes of the photograph."""
    height, width = _size(entry, factor)
    copy = replace(entry, file=entry.file.with_name(f"{entry.file.stem}_{factor:g}.npy"), height=height, width=width)
    if _shape(copy.file) != (height, width):
        _write(copy.file, _shrunk(entry.open(), height, width))
    return copy


def _size(entry: CachedImage, factor: float) -> tuple[int, int]:
    return round(entry.height * factor), round(entry.width * factor)


def _shrunk(planes: Planes, height: int, width: int) -> Planes:
    image = torch.from_numpy(np.array(planes))[None].float()
    smaller = F.interpolate(image, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return smaller[0].round_().clamp_(0, 255).to(torch.uint8).numpy()


def _key(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}; check the path.") from error
    identity = f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}|{_VERSION}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _decode(path: Path, color: bool) -> Planes:
    rgb = torch.from_numpy(read_rgb(path).copy()).permute(2, 0, 1)
    if color:
        return rgb.contiguous().numpy()
    return rgb_to_luminance(rgb.float().div_(255)).mul_(255).round_().to(torch.uint8).numpy()


def _write(file: Path, planes: Planes) -> None:
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, planes.squeeze(0) if len(planes) == 1 else planes, allow_pickle=False)


def _mapped(file: Path) -> Planes:
    with _header:
        pixels: Planes = np.load(file, mmap_mode="r", allow_pickle=False)
    return pixels


def _shape(file: Path) -> tuple[int, int] | None:
    """Read height and width from the header alone; None if there is no whole entry."""
    try:
        height, width = _mapped(file).shape[-2:]
    except (ValueError, EOFError, OSError):
        return None
    return height, width


def _report(problems: Sequence[str], *, usable: int, on_bad_image: str) -> None:
    if not problems and usable:
        return
    if on_bad_image != "skip" and problems:
        raise DataError(
            f"{len(problems)} of {len(problems) + usable} training images cannot be used; repair or remove them, or "
            f"set data.on_bad_image=skip to train without them:{listing(problems)}"
        )
    if not usable:
        raise DataError(
            f"The training set must hold at least one usable image, got none; check data.train_dir.{listing(problems)}"
        )
    log.warning("Left out %d training images that cannot be used:%s", len(problems), listing(problems))
