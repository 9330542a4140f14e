"""TIFF: tifffile and imagecodecs decode the samples; what the samples mean, and what is refused, is said here.

References are to TIFF 6.0 and its supplements. Whatever is not known to be read right is refused by name.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import IO

import numpy as np
import tifffile
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tifffile import COMPRESSION, PHOTOMETRIC, SAMPLEFORMAT, TiffPage

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures.decoding import in_8_bits
from prosr_lightning.pictures.inks import cmyk_to_rgb, lab_to_rgb
from prosr_lightning.pictures.rows import PixelRows, is_big, write_page

log = logging.getLogger(__name__)
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it writes to the terminal

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BASE_CHANNELS = {
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4,
    PHOTOMETRIC.YCBCR: 3,
    PHOTOMETRIC.CIELAB: 3,
    PHOTOMETRIC.ICCLAB: 3,
}
_APERIO_YCBCR = 33003  # JPEG 2000 of YCbCr, of slide scanners
_DNG_VERSION, _INK_SET = 50706, 332
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType


def is_tiff(head: bytes) -> bool:
    """Tell a TIFF or BigTIFF by its first four bytes."""
    return head[:4] in _MAGIC


def full_pages(tiff: tifffile.TiffFile, name: str) -> list[TiffPage]:
    """Return the pages that are pictures: neither thumbnails nor masks.

    Raises:
        ImageError: If there are none, if the file is a camera's raw data, of which only the thumbnail is a picture, or
            if it is cut short.
    """
    pages = [page for page in map(tiff.pages.get, range(len(tiff.pages))) if isinstance(page, TiffPage)]
    pages = [page for page in pages if not page.subfiletype & (_REDUCED | _MASK)]
    if not pages or _DNG_VERSION in tiff.pages.first.tags:
        what = "a camera's raw data" if len(tiff.pages) else "a TIFF without pictures"
        raise ImageError(f"{name} must hold a finished picture, got {what}; develop it to TIFF, PNG or JPEG first.")
    for page in pages:
        ends = [at + size for at, size in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if 0 in page.databytecounts or not ends or max(ends) > page.parent.filehandle.size:
            raise ImageError(f"{name} must be whole, but not all of its pixels are there; copy it again.")
    return pages


def read_page(page: TiffPage, name: str) -> tuple[Pixels, bytes | None] | None:
    """Decode a page to gray or RGB with or without alpha, not turned yet.

    Args:
        page: Of `full_pages`.
        name: What messages call the file.

    Returns:
        `(H, W, C)`, `uint8`, `uint16` or `float32`, and the profile of these pixels; or None where libtiff alone knows
        the conversion (YCbCr without JPEG).

    Raises:
        ImageError: If the layout is not known to be read right.
    """
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG:
        return None
    channels, alpha = _layout(page, name)
    try:
        pixels = page.asarray()
    except (ValueError, NotImplementedError) as error:
        layout = f"{_label(page.compression, COMPRESSION)} of {page.bitspersample}-bit samples"
        raise ImageError(f"{name} must be decodable, got {layout}: {error}; save it uncompressed first.") from error
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = _full_range(pixels[..., None] if page.axes == "YX" else pixels, page, name)
    colour, profile = _colour(pixels[..., :channels], page, name)
    if alpha is None:
        return colour, profile
    opacity = pixels[..., channels : channels + 1]
    if colour.dtype != opacity.dtype:  # a palette, or inks that a profile brought to 8 bits
        opacity = in_8_bits(opacity)
    return np.concatenate([_straight(colour, opacity) if alpha == 1 else colour, opacity], axis=-1), profile


def _layout(page: TiffPage, name: str) -> tuple[int, int | None]:
    """Return the number of colour channels, and the kind of alpha, 1 premultiplied, 2 straight or None."""
    bits, kind = page.bitspersample, page.sampleformat
    depth = f"{bits}-bit {_label(kind, SAMPLEFORMAT)}"
    integers = kind == SAMPLEFORMAT.UINT and isinstance(bits, int) and bits <= 16
    if not integers and not (kind == SAMPLEFORMAT.IEEEFP and bits in (16, 24, 32, 64)):
        raise ImageError(f"{name} must have 8 or 16 bits a channel or floating point, got {depth}; "
                         "convert it first.")  # fmt: skip
    channels = _BASE_CHANNELS.get(PHOTOMETRIC(page.photometric)) if page.photometric in list(PHOTOMETRIC) else None
    inks = page.tags.valueof(_INK_SET, default=1)
    if channels is None or page.compression == _APERIO_YCBCR or inks != 1 or page.axes not in ("YX", "YXS", "SYX"):
        raise ImageError(
            f"{name} must be gray, RGB, CMYK, Lab or a palette, got {_label(page.photometric, PHOTOMETRIC)} with "
            f"{page.samplesperpixel} channels, {_label(page.compression, COMPRESSION)}; convert it first."
        )
    if page.photometric in (PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB) and not (integers and bits in (8, 16)):
        raise ImageError(f"{name} must hold Lab of 8 or 16 bits, got {depth}; convert it to RGB first.")
    if page.photometric == PHOTOMETRIC.PALETTE and page.samplesperpixel > 1 and bits != 8:
        raise ImageError(f"{name} must have 8 bits beside its palette, got {depth}; convert it first.")
    further = page.samplesperpixel - channels
    if further < 0:
        raise ImageError(f"{name} must have {channels} channels for its colours, got {page.samplesperpixel}.")
    extras = tuple(page.extrasamples)
    alpha = int(extras[0]) if extras and extras[0] in (1, 2) else None
    if further > (alpha is not None):
        log.warning("%s holds %d more channels than colours; they are left out.", name, further - (alpha is not None))
    return channels, alpha


def _full_range(pixels: Pixels, page: TiffPage, name: str) -> Pixels:
    """Bring samples of any depth to the whole range of `uint8`, `uint16` or `float32`."""
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    bits = page.bitspersample
    assert isinstance(bits, int)
    if page.photometric == PHOTOMETRIC.PALETTE or bits in (8, 16):
        return pixels.astype(pixels.dtype.newbyteorder("="))
    top, dtype = (255, np.uint8) if bits < 8 else (65535, np.uint16)
    full: Pixels = np.rint(pixels.astype(np.float32) * np.float32(top / (2**bits - 1))).astype(dtype)
    return full


def _colour(pixels: Pixels, page: TiffPage, name: str) -> tuple[Pixels, bytes | None]:
    """Return gray or RGB, and its profile."""
    profile = page.iccprofile
    top = pixels.dtype.type(1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max)
    match page.photometric:
        case PHOTOMETRIC.MINISWHITE:
            return top - pixels, profile
        case PHOTOMETRIC.PALETTE:
            colours = np.asarray(page.colormap).T
            if colours.max(initial=0) > 255:  # some writers fill 8 of the 16 bits
                colours = colours >> 8
            return np.take(colours.astype(np.uint8), pixels[..., 0], axis=0), profile
        case PHOTOMETRIC.SEPARATED:
            return cmyk_to_rgb(pixels, profile, name)
        case PHOTOMETRIC.CIELAB | PHOTOMETRIC.ICCLAB:
            return lab_to_rgb(pixels, signed=page.photometric == PHOTOMETRIC.CIELAB)
    return pixels, profile


def _straight(colour: Pixels, alpha: Pixels) -> Pixels:
    """Undo premultiplied alpha."""
    top = 1 if colour.dtype.kind == "f" else np.iinfo(colour.dtype).max
    straight = np.divide(colour * float(top), alpha, out=np.zeros(colour.shape), where=alpha > 0).clip(0, top)
    return (straight if colour.dtype.kind == "f" else np.rint(straight)).astype(colour.dtype)


def _label(value: int, names: type[IntEnum]) -> str:
    """Return what TIFF calls a value, or the number."""
    return (
        names(value).name.lower().replace("ieeefp", "float").replace("separated", "cmyk")
        if value in list(names)
        else str(value)
    )


def write_tiff(
    path: Path, pages: Sequence[tuple[PixelRows, bytes | None]], *, tags: ImageFileDirectory_v2 | None = None
) -> None:
    """Write gray or RGB pages in their depth, BigTIFF where it must be.

    Args:
        path: The file.
        pages: Of each the rows, which are compressed as they come, and the colour profile.
        tags: More tags for the first page, little-endian; directories in them are dictionaries.
    """
    with tifffile.TiffWriter(path, byteorder="<", bigtiff=is_big(rows for rows, _ in pages)) as file:
        for page, icc_profile in pages:
            write_page(file, page, icc_profile=icc_profile)
    if tags is not None and len(tags):
        with path.open("r+b") as stream:
            _add_tags(stream, tags)


def _add_tags(file: IO[bytes], tags: ImageFileDirectory_v2) -> None:
    """Replace the first directory of a little-endian TIFF by one that also has these tags."""
    big = file.read(4) == b"II+\0"
    count, size, pointer, place = ("<Q", 20, "<Q", 8) if big else ("<H", 12, "<I", 4)
    head = b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4)
    added = ImageFileDirectory_v2(head)
    for tag, value in tags.items():
        added.tagtype[tag] = tags.tagtype[tag]
        added[tag] = value
    file.seek(place)
    file.seek(struct.unpack(pointer, file.read(struct.calcsize(pointer)))[0])
    (number,) = struct.unpack(count, file.read(struct.calcsize(count)))
    entries = {entry[:2]: entry for entry in (file.read(size) for _ in range(number))}
    following = file.read(struct.calcsize(pointer))
    end = file.seek(0, 2)
    end += file.write(bytes(end % 2))
    data = added.tobytes(end)
    file.write(data)
    first = struct.calcsize(count)
    for at in range(first, first + size * struct.unpack_from(count, data)[0], size):
        entries[data[at : at + 2]] = data[at : at + size]
    directory = file.tell()
    ordered = sorted(entries.values(), key=lambda entry: struct.unpack("<H", entry[:2]))
    file.write(struct.pack(count, len(ordered)) + b"".join(ordered) + following)
    file.seek(place)
    file.write(struct.pack(pointer, directory))
