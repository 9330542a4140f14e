"""Where the training photographs are: DIV2K, any folder, or the sample that comes with scikit-image."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prosr_lightning.data.benchmarks import Benchmark, find_images
from prosr_lightning.errors import DataError

# Colour photographs of everyday scenes in scikit-image's wheel; licences: NASA public domain, CC0, CC0, public domain.
_SAMPLE = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
DIV2K_COUNTS = {"DIV2K_train_HR": 800, "DIV2K_valid_HR": 100}


def div2k_images(data_dir: Path, split: str) -> list[Path]:
    """Find DIV2K's ground-truth images.

    Args:
        data_dir: The folder that holds `DIV2K/DIV2K_train_HR`.
        split: "train" or "valid".

    Returns:
        800 or 100 paths in order.

    Raises:
        DataError: If the folder is missing or the count is wrong; the message names the command that downloads it.
    """
    name = f"DIV2K_{split}_HR"
    folder = data_dir / "DIV2K" / name
    remedy = (
        f"get it with `python -m prosr_lightning.download div2k --root {data_dir}`, "
        "or train on your own photographs with data=folder data.train_dir=DIR"
    )
    if not folder.is_dir():
        raise DataError(f"DIV2K must be at {folder}, found nothing there; {remedy}.")
    images = find_images(folder, recursive=False)
    if len(images) != DIV2K_COUNTS[name]:
        raise DataError(f"{folder} must hold {DIV2K_COUNTS[name]} images, got {len(images)}; {remedy}.")
    return images


def folder_images(folders: Sequence[Path], *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Path]:
    """Find the photographs in some folders and the folders below them.

    Args:
        folders: Where to look.
        include: If given, only files whose path below its folder matches one of these patterns, or lies in a folder
            that does.
        exclude: Files or folders to leave out, by the same patterns.

    Returns:
        Sorted paths, each once.

    Raises:
        DataError: If a folder is missing or nothing is left.
    """
    seen, taken, left_out = set[Path](), set[Path](), set[Path]()
    for folder in folders:
        if not folder.is_dir():
            raise DataError(
                f"data.train_dir must be a folder of images, got {folder}, which is not one; check the path."
            )
        images = find_images(folder, recursive=True)
        seen |= set(images)
        taken |= {image for image in images if not include or _matches(image, folder, include)}
        left_out |= {image for image in images if _matches(image, folder, exclude)}
    kept = sorted(taken - left_out)
    if not kept:
        raise DataError(
            f"data.train_dir must hold images, found {len(seen)} in {', '.join(map(str, folders))} and none that "
            "data.include and data.exclude leave; check them."
        )
    return kept


def sample_photographs(held_out: str) -> tuple[list[Path], Benchmark]:
    """Return the sample photographs that scikit-image ships, one of them kept for validation.

    Args:
        held_out: File stem of the photograph to validate on.

    Returns:
        The training photographs, and a set named "sample" of the other one.

    Raises:
        DataError: If `held_out` is not one of them or scikit-image does not ship them.
    """
    package = find_spec("skimage")
    folder = Path(package.origin).parent / "data" if package and package.origin else Path("skimage/data")
    photographs = [folder / name for name in _SAMPLE]
    missing = [path.name for path in photographs if not path.is_file()]
    if missing:
        raise DataError(f"scikit-image must ship {', '.join(missing)}, found none in {folder}; reinstall scikit-image.")
    validation = tuple(path for path in photographs if path.stem == held_out)
    if not validation:
        stems = ", ".join(path.stem for path in photographs)
        raise DataError(f"`held_out` must be one of {stems}, got {held_out!r}; choose one of them.")
    return [path for path in photographs if path.stem != held_out], Benchmark(name="sample", images=validation)


def _matches(image: Path, root: Path, patterns: Sequence[str]) -> bool:
    relative = image.relative_to(root)
    names = [relative.as_posix(), *(parent.as_posix() for parent in relative.parents[:-1])]
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def several(value: Any) -> list[Any]:  # noqa: ANN401  # one of anything
    """Return a list where one value was given instead of several."""
    return [value] if value is None or isinstance(value, str | Path | int | float) else list(value)
