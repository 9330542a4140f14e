"""TIFF files of every layout, with what their samples mean by TIFF 6.0."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tifffile
from skimage.color import lab2rgb

HEIGHT, WIDTH = 40, 56
PHOTOMETRICS = {  # channels, photometric for tifffile, extra samples
    "gray": (1, "minisblack", None),
    "white is zero": (1, "miniswhite", None),
    "gray and alpha": (2, "minisblack", ["unassalpha"]),
    "rgb": (3, "rgb", None),
    "rgb and alpha": (4, "rgb", ["unassalpha"]),
    "rgb premultiplied": (4, "rgb", ["assocalpha"]),
    "rgb and more": (4, "rgb", ["unspecified"]),
    "cmyk": (4, "separated", None),
    "lab": (3, "cielab", None),
    "palette": (1, "palette", None),
}
DEPTHS = {"1": (np.uint8, 1), "8": (np.uint8, 8), "10": (np.uint16, 10), "12": (np.uint16, 12), "16": (np.uint16, 16),
          "half": (np.float16, None), "float": (np.float32, None), "double": (np.float64, None)}  # fmt: skip
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma")


class Layout(NamedTuple):
    photometric: str
    depth: str
    planar: str
    tiled: bool
    compression: str | None
    byteorder: str
    predictor: bool


def layouts() -> Iterator[Layout]:
    """Yield every combination that there is; big-endian ones with two compressions alone."""
    for photometric, depth in itertools.product(PHOTOMETRICS, DEPTHS):
        channels = PHOTOMETRICS[photometric][0]
        if (depth == "1" and channels > 1) or (photometric == "palette" and depth != "8"):
            continue
        if photometric in ("lab", "rgb premultiplied") and depth in ("10", "12"):
            continue
        planars = ("contig", "separate") if channels > 1 else ("contig",)
        for planar, tiled, compression in itertools.product(planars, (False, True), COMPRESSIONS):
            packed = depth in ("1", "10", "12")
            if packed and compression:
                continue  # tifffile writes none
            for byteorder, predictor in itertools.product("<>", (False, True)):
                if byteorder == ">" and (compression not in (None, "zlib") or packed):
                    continue
                if predictor and (compression in (None, "packbits") or packed):
                    continue
                yield Layout(photometric, depth, planar, tiled, compression, byteorder, predictor)


def every_three(rows: Iterable[Layout]) -> Iterator[Layout]:
    """Yield rows until each combination of three properties that any of them has was there, a quarter of them."""
    places = list(itertools.combinations(range(len(Layout._fields)), 3))
    threes = {row: frozenset((place, *(row[at] for at in place)) for place in places) for row in rows}
    missing = frozenset[tuple[object, ...]]().union(*threes.values())
    while missing:
        row = max(threes, key=lambda row: len(threes[row] & missing))
        missing -= threes.pop(row)
        yield row


def samples(layout: Layout) -> np.ndarray:
    """Return `(H, W, C)` samples as they stand in the file."""
    channels, (dtype, bits) = PHOTOMETRICS[layout.photometric][0], DEPTHS[layout.depth]
    rng = np.random.default_rng(channels)
    if bits is None:
        return rng.random((HEIGHT, WIDTH, channels)).astype(dtype)
    return rng.integers(0, 2**bits, (HEIGHT, WIDTH, channels)).astype(dtype)


COLOURS = np.random.default_rng(9).integers(256, 65536, (3, 256)).astype(np.uint16)


def written(layout: Layout, stored: np.ndarray) -> bytes:
    channels, photometric, extra = PHOTOMETRICS[layout.photometric]
    data = stored[..., 0] if channels == 1 else stored
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.ascontiguousarray(np.moveaxis(data, -1, 0)) if layout.planar == "separate" else data,
        photometric=photometric,
        planarconfig=layout.planar if channels > 1 else None,
        compression=layout.compression,
        byteorder=layout.byteorder,
        predictor=layout.predictor,
        extrasamples=extra,
        bitspersample=DEPTHS[layout.depth][1] if layout.depth in ("1", "10", "12") else None,
        colormap=COLOURS if photometric == "palette" else None,
        metadata=None,
        **({"tile": (16, 16)} if layout.tiled else {"rowsperstrip": 7}),
    )
    return file.getvalue()


def meant(layout: Layout, stored: np.ndarray) -> np.ndarray:
    """Return what the samples mean by TIFF 6.0, in `[0, 1]`, straight from the text of the specification."""
    dtype, bits = DEPTHS[layout.depth]
    stored = stored[..., :3] if layout.photometric == "rgb and more" else stored
    unit = stored.astype(np.float64) if bits is None else stored / (2.0**bits - 1)
    match layout.photometric:
        case "white is zero":
            return 1 - unit
        case "rgb premultiplied":
            with np.errstate(divide="ignore", invalid="ignore"):
                straight = np.where(unit[..., 3:] > 0, unit[..., :3] / unit[..., 3:], 0)
            return np.concatenate([straight.clip(0, 1), unit[..., 3:]], axis=-1)
        case "cmyk":
            return (1 - unit[..., :3]) * (1 - unit[..., 3:])
        case "palette":
            return (COLOURS >> 8).T[stored[..., 0]] / 255
        case "lab":  # two's complement in 8 bits, and in 256ths in 16
            ab = stored[..., 1:].view(f"i{dtype().itemsize}") / 256.0 ** (dtype().itemsize - 1)
            with warnings.catch_warnings(action="ignore"):  # of colours that there are none
                return lab2rgb(np.concatenate([unit[..., :1] * 100, ab], axis=-1), illuminant="D50")
    return unit


def unit(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float64) if pixels.dtype.kind == "f" else pixels / float(np.iinfo(pixels.dtype).max)
