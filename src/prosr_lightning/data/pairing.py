"""Which result, or given LR image, belongs to which ground-truth image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning.data.benchmarks import Benchmark, find_images, image_name, listed, name_variants
from prosr_lightning.errors import DataError


def match_images(benchmark: Benchmark, folder: Path | str, scale: int, *, several: bool, what: str) -> list[Path]:
    """Find the file that belongs to each ground-truth image: someone's results, or given LR images.

    Files are looked for in `folder/NAME/x4`, `folder/x4`, `folder/NAME` and `folder` itself (also `X4`, `4`, EDSR's
    `LR_bicubic/X4` and SelfExSR's `image_SRF_4`). A file belongs to `baby.png` if it is called `baby` with any suffix,
    or alone starts with `baby` followed by a sign or by `x4`: `babyx4.png`, `baby_LapSRN.png`.

    Args:
        benchmark: The set.
        folder: Where to look.
        scale: The factor.
        several: Whether more than one scale is wanted; a folder that does not name its scale is then refused.
        what: What the files are, for messages: "result" or "LR image".

    Returns:
        One path for each of `benchmark.images`.

    Raises:
        DataError: If a file is missing or ambiguous (the message names it), or the layout does not say the scale.
    """
    place, names_scale = _scale_folder(Path(folder), benchmark.name, scale)
    candidates = find_images(place, recursive=False)
    role = "_LR" if what == "LR image" else ""
    matched = [_match(image_name(image), candidates, scale, role=role) for image in benchmark.images]
    missing = [image.name for image, paths in zip(benchmark.images, matched, strict=True) if not paths]
    if missing:
        raise DataError(
            f"{place} must have a {what} at {scale}x for each image of {benchmark.name}, found none for "
            f"{listed(missing)}; add them under the same names."
        )
    for image, paths in zip(benchmark.images, matched, strict=True):
        if len(paths) > 1:
            names = listed([path.name for path in paths])
            raise DataError(f"{place} must have one {what} for {image.name}, found {names}; keep one of them.")
    if several and not names_scale and not all(_says_scale(paths[0], scale) for paths in matched):
        raise DataError(
            f"{folder} must have a folder for each scale (such as {benchmark.name}/x{scale}) when several scales are "
            "scored, found none; sort the files, or score one scale."
        )
    return [paths[0] for paths in matched]


def given_lr(sets: Sequence[Benchmark], scale: int) -> dict[Path, Path]:
    """Return the LR image of each ground-truth image of the sets that have a folder of them."""
    return {
        image: lr
        for benchmark in sets
        if benchmark.lr_dir is not None
        for image, lr in zip(
            benchmark.images,
            match_images(benchmark, benchmark.lr_dir, scale, several=False, what="LR image"),
            strict=True,
        )
    }


def _scale_folder(folder: Path, name: str, scale: int) -> tuple[Path, bool]:
    """Return the most specific folder that exists, and whether it names the scale."""
    if not folder.is_dir():
        raise DataError(f"{folder} must be a folder of images, found none there; check the path.")
    wanted = name_variants(name)
    sets = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name.lower() in wanted]
    for place in (*sets, folder):
        for scales in (f"x{scale}", f"X{scale}", f"{scale}", f"{scale}x", f"LR_bicubic/X{scale}", f"image_SRF_{scale}"):
            if (place / scales).is_dir():
                return place / scales, True
    return (sets[0] if sets else folder), False


def _match(name: str, candidates: Sequence[Path], scale: int, *, role: str) -> list[Path]:
    """Return the files that may belong to an image; `role` is the ending of the wanted files in SelfExSR's folders."""
    exact = [path for path in candidates if path.stem in (name, f"{name}x{scale}", f"{name}_x{scale}")]
    if exact:
        return exact
    # DIV2K's tracks mild, difficult and wild add their first letter
    pattern = re.compile(re.escape(name) + rf"(x{scale}[mdw]?(\W|_)|[^A-Za-z0-9])", re.IGNORECASE)
    others = {"_HR", "_LR"} - {role}
    loose = [path for path in candidates if pattern.match(f"{path.stem}.") and path.stem[-3:].upper() not in others]
    at_scale = [path for path in loose if _says_scale(path, scale)] or loose
    in_role = [path for path in at_scale if role and path.stem.upper().endswith(role)]
    return in_role or at_scale


def _says_scale(path: Path, scale: int) -> bool:
    return re.search(rf"(x{scale}|SRF_{scale}|{scale}x)(?!\d)", path.stem, re.IGNORECASE) is not None
