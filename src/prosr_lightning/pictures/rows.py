"""Pictures row by row, which memory need not hold: TIFF in plain layouts is read so, and TIFF is written so."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC, SAMPLEFORMAT, TiffPage

from prosr_lightning.errors import ImageError, OutOfMemoryError
from prosr_lightning.imaging.io import Pixels

_ORIENTATION = 274
_STRAIGHT = 2  # ExtraSamples: alpha that is not premultiplied
_BAND = 1 << 22  # samples of a band that is read at once, where the layout leaves the choice
_BUFFER = 1 << 22  # bytes of the file that are read at once; tifffile's own choice is 256 MiB
_STRIP = 1 << 18  # bytes of a strip that is written, about


class PixelRows(Protocol):
    """A picture that is read from top to bottom."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(H, W, C)`, C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """`uint8`, `uint16`, or floating point in `[0, 1]`."""
        ...

    def bands(self) -> Iterator[Pixels]:
        """Yield the rows `(h, W, C)`, each time from the first."""
        ...


class WholePicture:
    """Pixels `(H, W, C)` that are there, as `PixelRows`."""

    def __init__(self, pixels: Pixels) -> None:
        self.shape, self.dtype, self._pixels = pixels.shape, pixels.dtype, pixels

    def bands(self) -> Iterator[Pixels]:
        """Yield all rows at once."""
        yield self._pixels


def whole(rows: PixelRows) -> Pixels:
    """Put a picture together.

    Raises:
        OutOfMemoryError: If memory does not hold it.
    """
    height, width, _ = rows.shape
    try:
        pixels = np.empty(rows.shape, rows.dtype)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"Memory must hold the result, {width}x{height}; write PNG or TIFF, which take it row by row."
        ) from error
    done = 0
    for band in rows.bands():
        pixels[done : done + len(band)] = band
        done += len(band)
    return pixels


class TiffRows:
    """The first page of a TIFF as rows; follows `PixelRows`.

    Args:
        path: The file.
        page: Its page, of a layout that `in_rows` admits.
    """

    def __init__(self, path: Path, page: TiffPage) -> None:
        self._path = path
        self.shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
        self.dtype = np.dtype(np.float32 if page.sampleformat == SAMPLEFORMAT.IEEEFP else f"u{page.bitspersample // 8}")

    def bands(self) -> Iterator[Pixels]:
        """Yield the rows from top to bottom.

        Raises:
            ImageError: If the file is damaged, or has floating-point values outside `[0, 1]`.
        """
        done = 0
        try:
            with tifffile.TiffFile(self._path) as tiff:
                page = tiff.pages.first
                for rows in _contiguous(self._path, page) if page.is_contiguous else _segments(page):
                    band = rows[: self.shape[0] - done].astype(self.dtype, copy=False)
                    if band.dtype.kind == "f" and not (band.min() >= 0 and band.max() <= 1):  # also false for NaN
                        raise ImageError(f"{self._path} must have floating-point pixels in [0, 1]; scale them first.")
                    done += len(band)
                    yield band
        except (OSError, ValueError, RuntimeError, zlib.error, tifffile.TiffFileError) as error:
            raise ImageError(f"{self._path} cannot be read as an image: {error}; replace or remove it.") from error
        if done != self.shape[0]:
            raise ImageError(
                f"{self._path} must have {self.shape[0]} rows, got {done}; it is cut short, copy it again."
            )


def in_rows(page: TiffPage) -> bool:
    """Tell whether a page's samples are pixels as they are: gray or RGB, with straight alpha or none, not turned."""
    colours = {int(PHOTOMETRIC.MINISBLACK): 1, int(PHOTOMETRIC.RGB): 3}.get(page.photometric)
    depth = (page.sampleformat, page.bitspersample)
    return (
        colours is not None
        and tuple(page.extrasamples) in ((), (_STRAIGHT,))
        and page.samplesperpixel == colours + len(page.extrasamples)
        and depth in ((SAMPLEFORMAT.UINT, 8), (SAMPLEFORMAT.UINT, 16), (SAMPLEFORMAT.IEEEFP, 32))
        and page.axes in ("YX", "YXS")
        and page.tags.valueof(_ORIENTATION, default=1) == 1
    )


def write_page(file: tifffile.TiffWriter, page: PixelRows, *, icc_profile: bytes | None = None) -> None:
    """Write gray or RGB in the depth of the samples.

    Args:
        file: Little-endian; a BigTIFF where it must be, see `is_big`.
        page: Its rows are compressed as they come.
        icc_profile: Stored as tag 34675.
    """
    (height, width, channels), kind = page.shape, page.dtype.kind
    strip = max(_STRIP // (width * channels * page.dtype.itemsize), 1)
    file.write(
        (_encoded(band) for band in _in_steps(page.bands(), strip)),
        shape=(height, width, channels) if channels > 1 else (height, width),
        dtype=page.dtype,
        rowsperstrip=strip,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        predictor=kind == "u",
        iccprofile=icc_profile,
        metadata=None,
        software=False,
    )


def is_big(pages: Iterable[PixelRows]) -> bool:
    """Tell whether pages might not fit into the 4 GiB of a TIFF."""
    size = sum(math.prod(page.shape) * page.dtype.itemsize for page in pages)
    return size > 2**32 - 2**25  # tifffile's own margin for the file's structure


def _contiguous(path: Path, page: TiffPage) -> Iterator[Pixels]:
    """Read samples that lie one behind the other."""
    height, width, channels = page.imagelength, page.imagewidth, page.samplesperpixel
    dtype = np.dtype(f"{page.parent.byteorder}{np.dtype(page.dtype).str[1:]}")
    step = max(_BAND // (width * channels), 1)
    with path.open("rb") as file:
        file.seek(page.dataoffsets[0])
        for top in range(0, height, step):
            yield np.fromfile(file, dtype, min(step, height - top) * width * channels).reshape(-1, width, channels)


def _segments(page: TiffPage) -> Iterator[Pixels]:
    """Decode strips, or tiles until they fill the width."""
    beside = list[Pixels]()
    for samples, (*_, left, _), shape in page.segments(maxworkers=1, buffersize=_BUFFER):
        if samples is None:
            raise ValueError("a part of the pixels is missing")
        beside.append(samples[0, : shape[1], : page.imagewidth - left])
        if left + shape[2] >= page.imagewidth:
            yield beside[0] if len(beside) == 1 else np.concatenate(beside, axis=1)
            beside.clear()


def _in_steps(rows: Iterable[Pixels], step: int) -> Iterator[Pixels]:
    """Cut or join bands to so many rows each."""
    held = list[Pixels]()
    for band in rows:
        held.append(band)
        if sum(map(len, held)) >= step:
            joined = np.concatenate(held)
            whole = len(joined) // step * step
            yield from (joined[top : top + step] for top in range(0, whole, step))
            held = [joined[whole:]]
    if sum(map(len, held)):
        yield np.concatenate(held)


def _encoded(band: Pixels) -> bytes:
    """Compress a strip, integers by their differences from the left (TIFF 6.0, section 14)."""
    if band.dtype.kind == "u":
        band = np.concatenate([band[:, :1], band[:, 1:] - band[:, :-1]], axis=1)
    return zlib.compress(band.astype(band.dtype.newbyteorder("<"), copy=False).tobytes())
