"""Which files a batch enlarges, and where each result goes: never over an input, nor unasked over what is there."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prosr_lightning.errors import ConfigError, ProSRError, StorageError
from prosr_lightning.pictures.formats import FORMATS, check_fits, check_opaque, format_of
from prosr_lightning.pictures.reading import Head, read_head, read_picture
from prosr_lightning.upscale.finding import find_pictures, root_of
from prosr_lightning.upscale.sizes import Enlarged

# see `Enlarged.suffix` and `options.naming`
_DEFAULT_SUFFIX = re.compile(r"_(x[\d.]+|[wh]\d+|\d+x\d+|[\d.]+mp)(_prosr[a-z_]*)?(_denoise[\d.]+)?$")


@dataclass(frozen=True)
class Enlargement:
    """One picture to enlarge, `source`, and the file to write, `target`."""

    source: Path
    target: Path


@dataclass
class BatchPlan:
    """The jobs of a batch, and what is not among them.

    Attributes:
        jobs: In a fixed order.
        changed: Of which kinds pictures are whose results are PNG, although they were to be of the same kind.
        failures: What cannot be done, as (path, error).
        passed_over: How many files of folders are no pictures, and results of earlier runs, by kind.
    """

    jobs: list[Enlargement] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    failures: list[tuple[str, ProSRError]] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Naming:
    """Where results go.

    Attributes:
        output: A folder, or a file for a single picture; None writes beside each picture.
        suffix: Put after the stem, such as "_x4".
        extension: "auto" for .png (.tif where there are several pages), "same" for that of the picture where we write
            it, or a suffix of `FORMATS` without the dot.
        first: Only the first frame or page is enlarged.
    """

    output: Path | None
    suffix: str
    extension: str = "auto"
    first: bool = False

    def target(self, source: Path, relative: Path, *, with_old: bool = False) -> Path:
        """Return the file for a picture that lies at `relative` below its input; `with_old` says `_jpg` in its name."""
        old = source.suffix.lower()
        ending = f".{self.extension}"
        if self.extension in ("auto", "same"):
            ending = ".png" if self.extension == "auto" or self.changes_kind(source) else source.suffix
        if self.extension == "auto" and old in (".tif", ".tiff") and not self.first and _has_pages(source):
            ending = ".tif"
        name = f"{source.stem}{f'_{old[1:]}' if with_old else ''}{self.suffix}{ending}"
        return self.folder(source, relative) / name

    def folder(self, source: Path, relative: Path) -> Path:
        """Return where the result of a picture goes."""
        return source.parent if self.output is None else self.output / relative.parent

    def changes_kind(self, source: Path) -> bool:
        """Tell whether results are to be of the picture's own kind, and cannot be."""
        return self.extension == "same" and source.suffix.lower() not in FORMATS


def _has_pages(source: Path) -> bool:
    try:
        return read_head(source, allow_huge=True).frames > 1
    except ProSRError:
        return False  # it is told when its turn comes


def plan_batch(inputs: Sequence[str], naming: Naming, *, recursive: bool) -> BatchPlan:
    """Find the pictures of a batch and name their results.

    Below `naming.output` the tree of an input is mirrored; of several inputs, the tree below the folder that they
    share. Where two pictures of a folder share a stem, the results say which is which: `photo_jpg_x4.png`.
    What an earlier run made of one of the pictures is passed over.

    Args:
        inputs: Files, folders and patterns such as `photos/*.jpg`.
        naming: Where results go.
        recursive: Look into folders below folders.

    Returns:
        Jobs without repetitions; inputs that hold no picture are among the failures, and pictures whose result would
        be written over a picture of the batch or over another result.

    Raises:
        ConfigError: If `naming.output` is one file and there are several pictures.
    """
    plan, sources, spelt = BatchPlan(), dict[Path, Path](), dict[str, Path]()
    for text in inputs:
        try:
            for source in find_pictures(text, naming.output, plan.passed_over, recursive=recursive):
                sources[spelt.setdefault(os.path.abspath(source), source)] = root_of(text)
        except ProSRError as error:
            plan.failures.append((text, error))
    output, relative = naming.output, _relative(sources)
    for result in _earlier_results(relative, naming):
        del relative[result], sources[result]
        plan.passed_over["results of an earlier run"] += 1
    if output is not None and output.suffix.lower() in FORMATS and not output.is_dir():
        if len(sources) > 1:
            raise ConfigError(
                f"--output must be a folder for {len(sources)} pictures, got the file {output}; drop the suffix."
            )
        targets = dict.fromkeys(sources, output)
    else:
        targets = _targets(relative, naming)
    kinds = [
        f"*{source.suffix.lower()}" if source.suffix else "without a suffix"
        for source in targets
        if naming.changes_kind(source)
    ]
    plan.changed = list(dict.fromkeys(kinds))
    originals = {_identity(source): source for source in sources}
    taken: dict[str, Path] = {}
    for source, target in targets.items():
        original, place = originals.get(_identity(target)), os.path.realpath(target)
        if original is not None:
            which = "the picture itself" if original == source else f"{original}, a picture of this run"
            reason = f"{target} must not be {which}; choose another --output or --suffix."
        elif place in taken:
            reason = f"{source} would be written over the result of {taken[place]}; choose another --output."
        else:
            taken[place] = source
            plan.jobs.append(Enlargement(source, target))
            continue
        plan.failures.append((str(source), StorageError(reason)))
    return plan


def _relative(sources: dict[Path, Path]) -> dict[Path, Path]:
    """Return where each picture lies below its input, or below the folder that several inputs share."""
    roots = {os.path.abspath(root) for root in sources.values()}
    try:
        shared = os.path.commonpath(roots) if roots else ""
    except ValueError:  # on several drives
        shared = ""
    return {
        source: Path(os.path.relpath(os.path.abspath(source), shared or os.path.abspath(root)))
        for source, root in sources.items()
    }


def _earlier_results(relative: dict[Path, Path], naming: Naming) -> list[Path]:
    """Find `photo_x4.png` where results of `photo.jpg` go, a larger picture of the same proportions."""
    made_from = {
        (os.path.realpath(naming.folder(source, place)), stem): source
        for source, place in relative.items()
        for stem in (source.stem, f"{source.stem}_{source.suffix[1:].lower()}")
    }
    results = []
    for path in relative:
        stems = {path.stem.removesuffix(naming.suffix), _DEFAULT_SUFFIX.sub("", path.stem)}
        originals = {made_from.get((os.path.realpath(path.parent), stem), path) for stem in stems} - {path}
        if any(_is_larger(path, original) for original in originals):
            results.append(path)
    return results


def _is_larger(result: Path, original: Path) -> bool:
    try:
        large, small = (read_head(path, allow_huge=True) for path in (result, original))
    except ProSRError:
        return True  # as its name says
    longer, wider = large.height - small.height, large.width - small.width
    rounding = (small.width + small.height) / 2
    alike = abs(large.width * small.height - large.height * small.width) <= rounding
    return alike and min(longer, wider) >= 0 and max(longer, wider) > 0


def _targets(relative: dict[Path, Path], naming: Naming) -> dict[Path, Path]:
    targets = {source: naming.target(source, place) for source, place in relative.items()}
    places = {source: os.path.realpath(target) for source, target in targets.items()}
    shares = Counter(places.values())
    return {
        source: naming.target(source, relative[source], with_old=True) if shares[places[source]] > 1 else target
        for source, target in targets.items()
    }


def _identity(path: Path) -> object:
    """Return what is the same for two names of one file, be it there or not."""
    try:
        state = path.stat()
    except OSError:
        return os.path.realpath(path)
    return state.st_dev, state.st_ino


def check_job(
    job: Enlargement, wanted: Enlarged, *, allow_huge: bool, overwrite: bool = False, first: bool = False
) -> tuple[Head, tuple[int, int]]:
    """Return the head of the picture, and width and height of its result, if all that can be known is in order.

    Args:
        job: Of a plan.
        wanted: How large the result is to be.
        allow_huge: See `read_picture`.
        overwrite: The target may be there.
        first: Only the first frame or page is enlarged.

    Raises:
        ConfigError: If the result would not be larger than the picture.
        ImageError: If the picture cannot be read or the format cannot hold the result.
        StorageError: If the result would replace something, or its folder cannot be written.
    """
    target = job.target
    try:
        there = target.exists()
    except OSError as error:  # a name that is too long, or a folder that must not be looked into
        remedy = "choose another --output or a shorter --suffix"
        raise StorageError(f"{target} cannot be written: {error.strerror}; {remedy}.") from error
    if there and not target.is_file():
        raise StorageError(f"{target} must be a file, got a folder or a device; choose another --output.")
    if there and not overwrite:
        raise StorageError(f"{target} must not be there yet; allow --overwrite, or leave it out by --skip-existing.")
    head = read_head(job.source, allow_huge=allow_huge)
    try:
        result = wanted.of(head.width, head.height)
    except ConfigError as error:
        raise ConfigError(f"{job.source}: {error}") from error
    check_fits(target, *result, frames=1 if first else head.frames)
    if head.may_be_transparent and not format_of(target).alpha:
        check_opaque(target, read_picture(job.source, allow_huge=allow_huge))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}; choose another --output.") from error
    if not os.access(target.parent, os.W_OK):
        raise StorageError(f"{target.parent} must be a folder that can be written; choose another --output.")
    return head, result
