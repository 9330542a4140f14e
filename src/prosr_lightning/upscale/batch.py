"""Which files a batch enlarges, and where each result goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prosr_lightning.errors import ConfigError, ImageError, ProSRError, StorageError
from prosr_lightning.imaging.io import IMAGE_SUFFIXES
from prosr_lightning.pictures.formats import FORMATS, check_fits
from prosr_lightning.pictures.picture import read_size
from prosr_lightning.upscale.sizes import Enlarged

# What we look for in a folder; a file that is named is opened whatever its suffix
CANDIDATE_SUFFIXES = IMAGE_SUFFIXES | {".gif", ".jp2", ".avif", ".jfif", ".apng", ".tga", ".pnm"}


@dataclass(frozen=True)
class Enlargement:
    """One picture to enlarge, `source`, and the file to write, `target`."""

    source: Path
    target: Path


@dataclass
class BatchPlan:
    """The jobs of a batch, and what of it cannot be done, as (path, error)."""

    jobs: list[Enlargement] = field(default_factory=list)
    failures: list[tuple[str, ProSRError]] = field(default_factory=list)


@dataclass(frozen=True)
class Naming:
    """Where results go.

    Attributes:
        output: A folder, or a file for a single picture; None writes beside each picture.
        suffix: Put after the stem, such as "_x4".
        extension: "auto" for .png, or a suffix of `FORMATS` without the dot.
    """

    output: Path | None
    suffix: str
    extension: str = "auto"

    def target(self, source: Path, relative: Path) -> Path:
        """Return the file for a picture that lies at `relative` below its input."""
        ending = ".png" if self.extension == "auto" else f".{self.extension.lower().lstrip('.')}"
        name = f"{source.stem}{self.suffix}{ending}"
        return source.with_name(name) if self.output is None else self.output / relative.parent / name


def plan_batch(inputs: Sequence[str], naming: Naming, *, recursive: bool) -> BatchPlan:
    """Find the pictures of a batch and name their results.

    Args:
        inputs: Files, folders and patterns such as `photos/*.jpg`.
        naming: Where results go.
        recursive: Look into folders below folders; the tree is mirrored below `naming.output`.

    Returns:
        Jobs in a fixed order, without repetitions; inputs that hold no picture are among the failures.

    Raises:
        ConfigError: If `naming.output` is one file and there are several pictures.
    """
    plan, sources = BatchPlan(), dict[Path, Path]()
    for given in inputs:
        try:
            sources |= dict(_sources(given, naming, recursive=recursive))
        except ProSRError as error:
            plan.failures.append((given, error))
    output = naming.output
    if output is not None and output.suffix.lower() in FORMATS and not output.is_dir():
        if len(sources) > 1:
            raise ConfigError(
                f"--output must be a folder for {len(sources)} pictures, got the file {output}; drop the suffix."
            )
        plan.jobs = [Enlargement(source, output) for source in sources]
        return plan
    taken: dict[Path, Path] = {}
    for source, relative in sources.items():
        target = naming.target(source, relative)
        if target in taken:
            reason = (
                f"{source} would be written over the result of {taken[target]}; choose another --suffix or --output."
            )
            plan.failures.append((str(source), StorageError(reason)))
            continue
        taken[target] = source
        plan.jobs.append(Enlargement(source, target))
    return plan


def check_job(job: Enlargement, wanted: Enlarged, *, allow_huge: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return width and height of the picture and of its result, once all that can be known beforehand is in order.

    Raises:
        ConfigError: If the result would not be larger than the picture.
        ImageError: If the picture cannot be read or the format cannot hold the result.
        StorageError: If the result would replace the picture itself, or something that is no file.
    """
    target = job.target
    if target.exists() and os.path.samefile(job.source, target):
        raise StorageError(f"{target} must not be the picture itself; choose another --output or --suffix.")
    if target.exists() and not target.is_file():
        raise StorageError(f"{target} must be a file, got a folder or a device; choose another --output.")
    size = read_size(job.source, allow_huge=allow_huge)
    try:
        result = wanted.of(*size)
    except ConfigError as error:
        raise ConfigError(f"{job.source}: {error}") from error
    check_fits(target, *result)
    return size, result


def _sources(given: str, naming: Naming, *, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Yield each picture of one input with its place below that input."""
    path = Path(given).expanduser()
    if path.is_dir():
        found = list(_in_folder(path, naming, recursive=recursive))
        if not found:
            hint = "check the folder" if recursive else "look below it with -r"
            raise ImageError(f"{path} must hold pictures, found none; {hint}.")
        for source in found:
            yield source, source.relative_to(path)
    elif os.path.lexists(path):
        yield path, Path(path.name)
    elif glob.has_magic(given):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise ImageError(f"{given} must match pictures, found none; check the pattern.")
        for match in matches:
            if Path(match).is_dir():
                yield from _sources(match, naming, recursive=recursive) if recursive else ()
            else:
                yield Path(match), Path(Path(match).name)
    else:
        raise ImageError(f"{path} must be an image file or a folder, found nothing there; check the path.")


def _in_folder(folder: Path, naming: Naming, *, recursive: bool) -> Iterator[Path]:
    """Yield the pictures of a folder in order, each real folder once, whatever links point to it."""
    seen: set[str] = {os.path.realpath(naming.output)} if naming.output is not None else set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real in seen and current != folder:
            continue
        seen.add(real)
        try:
            entries = sorted(current.iterdir())
        except OSError as error:
            raise ImageError(f"{current} cannot be looked into: {error.strerror}; check its permissions.") from error
        folders = [entry for entry in entries if entry.is_dir()]
        names = {entry.stem for entry in entries if entry not in folders}
        for entry in entries:
            picture = entry.suffix.lower() in CANDIDATE_SUFFIXES and not entry.name.startswith(".")
            if picture and entry not in folders and not _is_own_result(entry, names, naming):
                yield entry
        if recursive:
            waiting.extend(reversed(folders))


def _is_own_result(entry: Path, stems: set[str], naming: Naming) -> bool:
    """Tell `photo_x4.png` beside `photo.jpg`, which a second run must not enlarge again."""
    if naming.output is not None or not naming.suffix:
        return False
    return entry.stem.endswith(naming.suffix) and entry.stem.removesuffix(naming.suffix) in stems
