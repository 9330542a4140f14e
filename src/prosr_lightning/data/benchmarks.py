"""The benchmark sets: which files are their ground truth, in the layouts in which they circulate."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prosr_lightning.errors import ConfigError, DataError
from prosr_lightning.imaging.io import IMAGE_SUFFIXES

# Images in each published set.
NUM_IMAGES = {"Set5": 5, "Set14": 14, "BSDS100": 100, "Urban100": 100, "Manga109": 109, "Kodak24": 24}
# What `benchmarks=all` means: the sets of the paper's Table 6, and two that other papers add, where they are present.
TABLE_SETS = ("Set5", "Set14", "BSDS100")
_FURTHER_SETS = ("Urban100", "Manga109")
_ALIASES = {"b100": "BSDS100", "bsd100": "BSDS100", "kodak": "Kodak24"}
# Folders that hold the ground truth inside a set's folder: EDSR's HR, BasicSR's GTmod12 and original, SelfExSR's SRF_*.
_TRUTH_FOLDERS = ("HR", "GT", "original", "GTmod12", "image_SRF_2", "image_SRF_4")
# SelfExSR's Urban100/image_SRF_2 holds the pictures halved; the set that papers score is image_SRF_4.
_TRUTH_FOLDERS_URBAN100 = tuple(name for name in _TRUTH_FOLDERS if name != "image_SRF_2")
_TRUTH_SUFFIX = re.compile(r"_SRF_\d+_HR$|_HR$|_GT$", re.IGNORECASE)
_NAMES_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A set of ground-truth images.

    Attributes:
        name: Its name in tables.
        images: The HR files, in order.
        lr_dir: Folder of LR images to use instead of making them from the HR ones.
    """

    name: str
    images: tuple[Path, ...]
    lr_dir: Path | None = None


def find_images(folder: Path | str, *, recursive: bool = True) -> list[Path]:
    """List the image files of a folder, sorted by path; hidden files and folders are passed over.

    Returns:
        At least one path.

    Raises:
        DataError: If the folder is missing or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} must be a folder of images, found none there; check the path.")
    images = image_files(folder, recursive=recursive)
    if not images:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{folder} must hold images ({suffixes}), found none; check the path.")
    return images


def image_files(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Do as `find_images`, and return nothing where that raises."""
    return sorted(
        entry
        for entry in folder.glob("**/*" if recursive else "*")
        if entry.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") or part == "__MACOSX" for part in entry.relative_to(folder).parts)
        and entry.is_file()
    )


def find_dataset(name: str, data_dir: Path | str, *, lr_dir: Path | str | None = None) -> Benchmark:
    """Find a benchmark set.

    Args:
        name: Set5, Set14, BSDS100 (also B100 or BSD100), Urban100, Manga109, Kodak24, in any case; or the path of any
            folder of images, absolute or under `data_dir`.
        data_dir: Where the sets are.
        lr_dir: See `Benchmark`.

    Returns:
        The set, complete.

    Raises:
        DataError: If it is missing (the message says how to get it) or does not have its published number of images.
    """
    data_dir = Path(data_dir)
    canonical = canonical_name(name)
    folder = _search(name, canonical, data_dir)
    if folder is None:
        raise _missing(name, canonical, data_dir)
    images = _ground_truth(folder, canonical)
    expected = NUM_IMAGES.get(canonical)
    if expected is not None and len(images) != expected:
        raise DataError(
            f"{canonical} must have {expected} images, found {len(images)} in {images[0].parent}; "
            f"complete it, or get it anew with {_download_command(canonical, data_dir)}."
        )
    names = [image_name(image) for image in images]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{folder} must hold each image once, found {listed(repeated)} twice; remove the copies.")
    return Benchmark(name=canonical, images=tuple(images), lr_dir=None if lr_dir is None else Path(lr_dir))


def find_benchmarks(
    names: str | Sequence[str], data_dir: Path | str, *, lr_dir: Path | str | None = None
) -> list[Benchmark]:
    """Find several sets.

    Args:
        names: One name, a list of names, or "all": Set5, Set14 and BSDS100, which the paper scores, and Urban100 and
            Manga109 where they are present.
        data_dir: See `find_dataset`.
        lr_dir: LR images of all of them; of several sets, it must have a folder for each.

    Returns:
        The sets, in the order given.

    Raises:
        ConfigError: If no set is named, or one twice.
        DataError: As `find_dataset`.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    if wanted == ["all"]:
        wanted = [*TABLE_SETS, *(name for name in _FURTHER_SETS if _search(name, name, Path(data_dir)) is not None)]
    if not wanted:
        raise ConfigError("`benchmarks` must name at least one set, got none; choose for instance [Set5,Set14] or all.")
    benchmarks = [find_dataset(name, data_dir, lr_dir=lr_dir) for name in wanted]
    titles = [benchmark.name for benchmark in benchmarks]
    if len(set(titles)) != len(titles):
        raise ConfigError(f"`benchmarks` must name each set once, got {', '.join(wanted)}; remove the repetition.")
    return benchmarks


def name_variants(canonical: str) -> frozenset[str]:
    """Return the folder names, in small letters, under which a set goes: BSDS100 also as b100 and bsd100."""
    return frozenset({canonical.lower()} | {alias for alias, title in _ALIASES.items() if title == canonical})


def canonical_name(name: str) -> str:
    """Return the name that tables use: "b100" is BSDS100, "data/set5" is Set5; other names stay as they are."""
    last = Path(name).name
    known = {title.lower(): title for title in NUM_IMAGES} | _ALIASES
    return known.get(last.lower(), last)


def image_name(path: Path) -> str:
    """Return the name of a ground-truth image without the suffixes of layouts: "img_001_SRF_2_HR.png" is "img_001"."""
    return _TRUTH_SUFFIX.sub("", path.stem)


def listed(names: Sequence[str]) -> str:
    """Return a few of the names for a message, and how many more there are."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _search(name: str, canonical: str, data_dir: Path) -> Path | None:
    path = Path(name).expanduser()
    for folder in (path, data_dir / path):
        if folder.is_dir() and (folder == data_dir / path or len(path.parts) > 1):
            return folder
    wanted = name_variants(canonical)
    for place in (data_dir, data_dir / "benchmark", data_dir / "benchmarks"):
        if place.is_dir():
            for folder in sorted(place.iterdir()):
                if folder.is_dir() and folder.name.lower() in wanted:
                    return folder
    return None


def _missing(name: str, canonical: str, data_dir: Path) -> DataError:
    if canonical in NUM_IMAGES:
        remedy = f"get it with {_download_command(canonical, data_dir)}, or set paths.data_dir to where it is"
    else:
        near = difflib.get_close_matches(name, NUM_IMAGES, n=1)
        hint = f"the nearest is {near[0]}; " if near else ""
        remedy = f"{hint}known sets are {', '.join(NUM_IMAGES)}; anything else is the path of a folder of images"
    return DataError(f"The benchmark {name!r} must be a folder in {data_dir}, found none; {remedy}.")


def _ground_truth(folder: Path, canonical: str) -> list[Path]:
    """Return the HR files of a set's folder, whichever layout it has."""
    allowed = _TRUTH_FOLDERS_URBAN100 if canonical == "Urban100" else _TRUTH_FOLDERS
    inside = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()}
    if not image_files(folder):
        for name in allowed:
            if name.lower() in inside:
                images = find_images(inside[name.lower()], recursive=False)
                return [path for path in images if not path.stem.upper().endswith("_LR")] or images
        if "image_srf_2" in inside:
            raise DataError(
                f"{folder} must have the folder image_SRF_4 (or HR), found image_SRF_2, where the pictures of Urban100 "
                "are halved; add image_SRF_4."
            )
    return find_images(folder, recursive=canonical not in NUM_IMAGES)


def _download_command(canonical: str, data_dir: Path) -> str:
    return f"`python -m prosr_lightning.download {canonical.lower()} --root {data_dir}`"
