"""Reading a user's picture: whatever the file holds, in its full depth, with what belongs to it.

`imaging.io.read_rgb` is for data sets and refuses what benchmarks cannot hold; this reads what people have.
"""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from tifffile import PHOTOMETRIC, SAMPLEFORMAT, TiffPage

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures import decoding
from prosr_lightning.pictures.guarding import reading
from prosr_lightning.pictures.inks import to_srgb
from prosr_lightning.pictures.metadata import of_image, of_page, orientation, orientation_of_page, oriented
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.rows import PixelRows, TiffRows, WholePicture, in_rows
from prosr_lightning.pictures.tiff import full_pages, is_tiff, read_page

log = logging.getLogger(__name__)

_COMPARED = 1 << 26  # pixels up to which a TIFF is read twice


@dataclass(frozen=True)
class Head:
    """What the head of a file tells, without decoding the pixels.

    Attributes:
        width: With orientation applied.
        height: Likewise.
        frames: Of an animation, or pages.
        may_be_transparent: Whether there is an alpha channel or a transparent colour.
        luma_table: Of a JPEG, the 64 quantisation steps of its luminance.
    """

    width: int
    height: int
    frames: int
    may_be_transparent: bool
    luma_table: tuple[int, ...] | None = None


def read_picture(path: Path | str, *, allow_huge: bool = False) -> Picture:
    """Read a picture in any format and mode that our libraries know, in its full depth.

    Palettes become RGB(A), CMYK and Lab become RGB (through the colour profile where there is one), 1-bit becomes gray,
    EXIF orientation is applied. Of an animation or a file of several pages the first is taken, with a warning.

    Args:
        path: The file; its content decides, not its suffix.
        allow_huge: Open pictures above Pillow's limit of 89 megapixels, which guards against decompression bombs.

    Returns:
        The picture.

    Raises:
        ImageError: If the file is missing, empty, cut short, not an image, too large, or has pixels that cannot be
            enlarged (32-bit integers; floating point outside `[0, 1]`) or are not known to be read right.
        MissingDependencyError: If the format needs a package that is not installed.
    """
    frames = read_head(path, allow_huge=allow_huge).frames
    if frames > 1:
        log.warning("%s holds %d frames or pages; only the first is taken.", path, frames)
    with reading(str(path), allow_huge=allow_huge):
        return next(_frames(Path(path), str(path)))


def read_rows(path: Path | str, *, allow_huge: bool = False, first: bool = False) -> list[tuple[Picture, PixelRows]]:
    """Read every frame or page as `read_frames`, but a large TIFF of a plain layout row by row, while they are taken.

    Args:
        path: As for `read_picture`.
        allow_huge: Likewise.
        first: Read the first alone.

    Returns:
        Of each frame what belongs to it, with pixels `(0, W, C)`; and the pixels.

    Raises:
        ImageError, MissingDependencyError: As `read_picture`.
    """
    with reading(str(path), allow_huge=allow_huge):
        if _is_tiff(Path(path)):
            with tifffile.TiffFile(path) as tiff:
                page, *others = full_pages(tiff, str(path))
                width, height = _safe_size(page)
                alone = page is tiff.pages.first and (first or not others)
                if alone and width * height > _COMPARED and in_rows(page):
                    rows = TiffRows(Path(path), page)
                    empty = np.empty((0, *rows.shape[1:]), rows.dtype)
                    return [(Picture(empty, page.iccprofile, of_page(page, str(path))), rows)]
    return [
        (replace(frame, pixels=np.empty((0, *frame.pixels.shape[1:]), frame.pixels.dtype)), WholePicture(frame.pixels))
        for frame in read_frames(path, allow_huge=allow_huge, first=first)
    ]


def read_frames(path: Path | str, *, allow_huge: bool = False, first: bool = False) -> list[Picture]:
    """Read every frame of an animation or every page of a TIFF, all with the same channels.

    Args:
        path: As for `read_picture`.
        allow_huge: Likewise.
        first: Read the first alone.

    Returns:
        At least one picture.

    Raises:
        ImageError, MissingDependencyError: As `read_picture`.
    """
    with reading(str(path), allow_huge=allow_huge):
        frames = list(itertools.islice(_frames(Path(path), str(path)), 1 if first else None))
    channels = max(frame.pixels.shape[-1] for frame in frames)
    channels = 4 if channels == 3 and any(frame.has_alpha for frame in frames) else channels
    return [_with_channels(frame, channels, str(path)) for frame in frames]


def read_head(path: Path | str, *, allow_huge: bool = False) -> Head:
    """Return what the head of the file tells, without decoding the pixels.

    Raises:
        ImageError, MissingDependencyError: As `read_picture`, as far as the head tells.
    """
    with reading(str(path), allow_huge=allow_huge):
        if _is_tiff(Path(path)):
            with tifffile.TiffFile(path) as tiff:
                pages = full_pages(tiff, str(path))
                width, height = _safe_size(pages[0])
                size = (height, width) if orientation_of_page(pages[0]) >= 5 else (width, height)
                return Head(*size, len(pages), bool(pages[0].extrasamples))
        with _open(Path(path), str(path)) as image:
            width, height = image.size
            size = (height, width) if orientation(image) >= 5 and image.format not in _TURNED else (width, height)
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            transparent = image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
            tables: dict[int, Sequence[int]] = getattr(image, "quantization", None) or {}
            return Head(*size, frames, transparent, tuple(tables[min(tables)]) if tables else None)


def read_size(path: Path | str, *, allow_huge: bool = False) -> tuple[int, int]:
    """Return width and height from the head of the file, orientation applied; errors as `read_head`."""
    head = read_head(path, allow_huge=allow_huge)
    return head.width, head.height


def from_pil(image: Image.Image, *, name: str = "The image") -> Picture:
    """Turn a Pillow image of any mode, opened or made, into a picture.

    Args:
        image: Its pixels are loaded if they are not yet. Of an animation the frame is taken that it stands at.
        name: What messages call it.

    Raises:
        ImageError: As `read_picture`.
    """
    with reading(name, allow_huge=True):  # who opened it has judged its size
        frame, frames = image.tell(), getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO" and not frame:
            log.warning("%s holds %d frames or pages; only the first is taken.", name, frames)
        if image.format == "TIFF" and decoding.is_unread(image):
            with tifffile.TiffFile(io.BytesIO(decoding.content(image))) as tiff:
                page = tiff.pages.get(frame)
                assert isinstance(page, TiffPage)
                return _of_page(page, io.BytesIO(decoding.content(image)), name)
        return _of_image(image, name)


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return is_tiff(file.read(4))


def _frames(path: Path, name: str) -> Iterator[Picture]:
    if _is_tiff(path):
        with tifffile.TiffFile(path) as tiff:
            for page in full_pages(tiff, name):
                yield _of_page(page, path, name)
        return
    with _open(path, name) as image:
        for frame in range(1 if image.format == "MPO" else getattr(image, "n_frames", 1)):  # MPO: further views
            if frame:
                image.seek(frame)
            yield _of_image(image, name)


def _open(path: Path, name: str) -> ImageFile.ImageFile:
    _register_plugins()
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        with path.open("rb") as file:
            decoding.require_plugin(file.read(64), name)
        raise


_register_plugins = cache(decoding.register_plugins)


def _of_image(image: Image.Image, name: str) -> Picture:
    _announce({"CMYK": "CMYK", "LAB": "Lab"}.get(image.mode), name)
    try:
        pixels, profile = decoding.pixels_of(image, name)
    except OSError as error:
        complete = decoding.without_end(image, name) if "truncated" in str(error) else None
        if complete is None:
            raise
        log.warning("%s lacks its end marker; all of its pixels are there.", name)
        image = complete
        pixels, profile = decoding.flat_pixels(image, name)
    turn = 1 if image.format in _TURNED else orientation(image)
    return Picture(
        _checked(oriented(pixels, turn), name),
        profile,
        of_image(image, name),
        duration=image.info.get("duration"),
        loop=image.info.get("loop"),
        encoding=_encoding(image),
    )


_TURNED = ("TIFF", "HEIF", "JXL")  # their readers apply the orientation


def _of_page(page: TiffPage, source: Path | IO[bytes], name: str) -> Picture:
    _safe_size(page)
    read = read_page(page, name)
    other = _second_reading(page, source, name) if read is None or _can_be_compared(page) else None
    if read is None:
        if other is None:
            raise ImageError(f"{name} must be gray, RGB, CMYK, Lab or JPEG in TIFF, got bare YCbCr; convert it first.")
        pixels, profile = other
    else:
        pixels, profile = oriented(read[0], orientation_of_page(page)), read[1]
        if other is not None:
            decoding.require_agreement(pixels, other[0], name)
    _announce(_CONVERTED.get(page.photometric), name)
    return Picture(_checked(pixels, name), profile, of_page(page, name))


_CONVERTED: dict[int, str] = {PHOTOMETRIC.SEPARATED: "CMYK", PHOTOMETRIC.CIELAB: "Lab", PHOTOMETRIC.ICCLAB: "Lab"}


def _announce(kind: str | None, name: str) -> None:
    if kind:
        log.warning("%s is %s and becomes sRGB; what sRGB does not hold is clipped.", name, kind)


def _can_be_compared(page: TiffPage) -> bool:
    """Whether a second reading costs little and Pillow is known to read the layout right."""
    known = page.bitspersample == 8 or (page.bitspersample == 16 and page.photometric == PHOTOMETRIC.RGB)
    plain = page.sampleformat == SAMPLEFORMAT.UINT and page.planarconfig == 1
    return known and plain and page.imagewidth * page.imagelength <= _COMPARED


def _second_reading(page: TiffPage, source: Path | IO[bytes], name: str) -> tuple[Pixels, bytes | None] | None:
    """Return a page as Pillow reads it, or None where it cannot."""
    try:
        with Image.open(source) as image:
            image.seek(page.index)
            return decoding.flat_pixels(image, name)
    except Exception as error:  # noqa: BLE001  # what Pillow does not know, it raises many errors for
        log.debug("%s has no second reader: %s", name, error)
        return None


def _safe_size(page: TiffPage) -> tuple[int, int]:
    if page.imagewidth * page.imagelength > (Image.MAX_IMAGE_PIXELS or float("inf")):
        raise Image.DecompressionBombWarning
    return page.imagewidth, page.imagelength


def _encoding(image: Image.Image) -> tuple[str, dict[str, Any]] | None:
    if isinstance(image, JpegImageFile) and image.mode in ("L", "RGB"):
        sampling = get_sampling(image)
        return "JPEG", {"qtables": image.quantization} | ({"subsampling": sampling} if sampling >= 0 else {})
    if image.format == "WEBP" and isinstance(image, ImageFile.ImageFile) and image.filename:
        return ("WEBP", {"lossless": True}) if b"VP8L" in decoding.content(image)[:4096] else None
    return None


def _with_channels(picture: Picture, channels: int, name: str) -> Picture:
    """Return a picture in so many channels; a profile of gray cannot be that of RGB, and is applied."""
    if channels > 2 >= picture.pixels.shape[-1] and (picture.icc_profile or b"")[16:20] == b"GRAY":  # ICC.1, 7.2.8
        assert picture.icc_profile is not None
        picture = replace(picture, pixels=to_srgb(picture.pixels, picture.icc_profile, name), icc_profile=None)
    return replace(picture, pixels=_widened(picture.pixels, channels))


def _widened(pixels: Pixels, channels: int) -> Pixels:
    """Return gray as RGB, and without alpha as opaque, up to so many channels."""
    have = pixels.shape[-1]
    if have == channels:
        return pixels
    colour = pixels[..., :1] if have < 3 else pixels[..., :3]
    colour = colour.repeat(3, axis=-1) if channels > 2 and have < 3 else colour
    if channels in (1, 3):
        return colour
    top = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    alpha = pixels[..., -1:] if have in (2, 4) else np.full_like(pixels[..., :1], top)
    return np.concatenate([colour, alpha], axis=-1)


def _checked(pixels: Pixels, name: str) -> Pixels:
    if pixels.dtype.kind == "f" and not (pixels.min() >= 0 and pixels.max() <= 1):  # also false for NaN
        raise ImageError(f"{name} must have floating-point pixels in [0, 1], got others; scale them first.")
    return np.ascontiguousarray(pixels)
