"""What each output format can hold, and writing a picture in it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from PIL import Image

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.pictures import sixteen_bit
from prosr_lightning.pictures.picture import Picture, in_8_bits, to_pil

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Format:
    """One output format.

    Attributes:
        name: What Pillow calls it.
        longest: Longest side in pixels.
        alpha: Whether it holds transparency here.
        depths: NumPy types of the channels that it holds.
        options: Pillow's arguments when saving.
    """

    name: str
    longest: int
    alpha: bool
    depths: tuple[str, ...]
    options: dict[str, Any]


_JPEG = Format("JPEG", 65535, False, ("uint8",), {"quality": 95, "subsampling": 0})  # 16-bit sides (ITU T.81)
_TIFF = Format("TIFF", 2**31 - 1, True, ("uint8", "uint16", "float32"), {"compression": "tiff_adobe_deflate"})
FORMATS = {
    ".png": Format("PNG", 2**31 - 1, True, ("uint8", "uint16"), {}),  # PNG specification, 11.2.2
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("WEBP", 16383, True, ("uint8",), {"quality": 95, "method": 4}),  # 14-bit sides (RFC 9649)
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": Format("BMP", 2**31 - 1, False, ("uint8",), {}),
}


def format_of(path: Path | str) -> Format:
    """Return the format that a path's suffix names.

    Raises:
        ImageError: If it names none that we write.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ImageError(f"{path} must end in one of {', '.join(FORMATS)}, got {suffix or 'no suffix'!r}; rename it.")
    return FORMATS[suffix]


def check_fits(path: Path | str, width: int, height: int) -> None:
    """Refuse a format that cannot hold a picture of this size, before the work begins.

    Raises:
        ImageError: If a side is too long, or the suffix names no format.
    """
    chosen = format_of(path)
    if max(width, height) > chosen.longest:
        raise ImageError(
            f"{chosen.name} holds sides of at most {chosen.longest} pixels, got {width}x{height} for {path}; "
            "write PNG or TIFF instead."
        )
    if chosen.name == "BMP" and width * height * 3 >= 2**32:  # its header counts bytes in 32 bits
        raise ImageError(f"BMP holds at most 4 GiB, got {width}x{height} for {path}; write PNG or TIFF instead.")


def write_picture(path: Path | str, picture: Picture) -> None:
    """Write a picture in the format of the suffix, whole or not at all, with its profile and EXIF.

    A depth that the format does not hold is rounded to 8 bits, with a warning.

    Args:
        path: The file; missing parent folders are made.
        picture: See `Picture`.

    Raises:
        ImageError: If the format cannot hold the size or the transparency.
        StorageError: If the disk is full or the place cannot be written.
    """
    chosen = format_of(path)
    height, width = picture.pixels.shape[:2]
    check_fits(path, width, height)
    picture = _fitting(path, picture, chosen)
    with atomic_path(path) as temporary:
        _write(temporary, picture, chosen)


def _fitting(path: Path | str, picture: Picture, chosen: Format) -> Picture:
    """Return the picture as the format can hold it."""
    if picture.pixels.dtype.name not in chosen.depths:
        log.warning("%s holds 8 bits a channel; %s is rounded to that.", chosen.name, path)
        picture = in_8_bits(picture)
    if picture.has_alpha and not chosen.alpha:
        top = 1 if picture.pixels.dtype.kind == "f" else np.iinfo(picture.pixels.dtype).max
        if (picture.pixels[..., -1] != top).any():
            raise ImageError(f"{chosen.name} cannot hold the transparency of {path}; write PNG, WebP or TIFF instead.")
        picture = Picture(picture.pixels[..., :-1], picture.icc_profile, picture.exif)
    return picture


def _write(path: Path, picture: Picture, chosen: Format) -> None:
    pixels = picture.pixels
    if pixels.dtype == np.uint16 and chosen.name == "PNG":
        with path.open("wb") as file:
            sixteen_bit.write_png(file, pixels, icc_profile=picture.icc_profile, exif=picture.exif)
        return
    if chosen.name == "TIFF" and (pixels.dtype != np.uint8 or pixels.nbytes > 2**31):  # Pillow's TIFF ends at 4 GiB
        sixteen_bit.write_tiff(path, pixels, icc_profile=picture.icc_profile)
        return
    image = to_pil(picture)
    if chosen.name == "WEBP" and image.mode in ("L", "LA"):
        image = image.convert("RGBA" if picture.has_alpha else "RGB")
    _save(image, path, picture, chosen)


def _save(image: Image.Image, path: Path, picture: Picture, chosen: Format) -> None:
    metadata: dict[str, Any] = {}
    if picture.icc_profile:
        metadata["icc_profile"] = picture.icc_profile
    if picture.exif and chosen.name != "BMP":
        metadata["exif"] = picture.exif
    try:
        _save_checked(image, path, format=chosen.name, **chosen.options, **metadata)
    except (ValueError, SyntaxError, TypeError) as error:  # metadata that the format refuses, such as EXIF over 64 KiB
        log.warning("%s refuses the metadata of %s (%s); it is left out.", chosen.name, path, error)
        image.info.clear()
        _save_checked(image, path, format=chosen.name, **chosen.options)


def _save_checked(image: Image.Image, path: Path, **arguments: Any) -> None:  # noqa: ANN401  # Pillow's
    with path.open("w+b") as file:
        image.save(cast(IO[bytes], _Checked(file)), **arguments)


class _Checked:
    """A file without a number: given one, Pillow writes past Python and takes a short write for success."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write, self.read, self.seek, self.tell, self.flush = (
            file.write,
            file.read,
            file.seek,
            file.tell,
            file.flush,
        )
        self.truncate = file.truncate
