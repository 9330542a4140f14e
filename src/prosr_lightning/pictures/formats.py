"""What each output format can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prosr_lightning.errors import ImageError
from prosr_lightning.pictures.picture import Picture


@dataclass(frozen=True)
class Format:
    """One output format.

    Attributes:
        name: What Pillow calls it.
        longest: Longest side in pixels.
        alpha: Whether it holds transparency here.
        depths: NumPy types of the channels that it holds.
        frames: Whether it holds several pictures.
        holds: Which metadata it has room for, by their names in `Picture` and `Metadata`.
        options: Pillow's arguments when saving.
        lossy: Whether it has a quality.
    """

    name: str
    longest: int
    alpha: bool
    depths: tuple[str, ...] = ("uint8",)
    frames: bool = False
    holds: frozenset[str] = frozenset()
    options: dict[str, Any] = field(default_factory=dict)
    lossy: bool = False


_ALL = frozenset({"icc_profile", "exif", "xmp", "dpi"})
_JPEG = Format(
    "JPEG", 65535, False, holds=_ALL | {"iptc", "comment"}, options={"subsampling": 0}, lossy=True
)  # ITU T.81
_LONGEST = 2**31 - 1  # PNG specification, 11.2.2; of TIFF and BMP too
_TIFF = Format("TIFF", _LONGEST, True, ("uint8", "uint16", "float32"), frames=True, holds=_ALL | {"iptc"})
FORMATS = {
    ".png": Format("PNG", _LONGEST, True, ("uint8", "uint16"), frames=True, holds=_ALL | {"text"}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("WEBP", 16383, True, frames=True, holds=_ALL, options={"method": 4}, lossy=True),  # RFC 9649
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": Format("AVIF", 65536, True, frames=True, holds=_ALL, options={"subsampling": "4:4:4"}, lossy=True),
    ".jxl": Format("JXL", 2**30 - 1, True, ("uint8", "uint16"), holds=frozenset({"exif", "xmp", "dpi"}), lossy=True),
    ".gif": Format("GIF", 65535, True, frames=True, holds=frozenset({"comment"})),
    ".bmp": Format("BMP", _LONGEST, False, holds=frozenset({"dpi"})),
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


def check_fits(path: Path | str, width: int, height: int, *, frames: int = 1) -> None:
    """Refuse a format that cannot hold a picture of this size, before the work begins.

    Raises:
        ImageError: If a side is too long, if there are several pictures where one fits, or if the suffix names no
            format.
    """
    chosen = format_of(path)
    if max(width, height) > chosen.longest:
        raise ImageError(
            f"{chosen.name} holds sides of at most {chosen.longest} pixels, got {width}x{height} for {path}; "
            "write PNG or TIFF instead."
        )
    if chosen.name == "BMP" and width * height * 3 >= 2**32:  # its header counts bytes in 32 bits
        raise ImageError(f"BMP holds at most 4 GiB, got {width}x{height} for {path}; write PNG or TIFF instead.")
    if frames > 1 and not chosen.frames:
        raise ImageError(
            f"{chosen.name} holds one picture, got {frames} frames or pages for {path}; take the first alone (--first) "
            "or write PNG, WebP, GIF or TIFF instead."
        )


def check_opaque(path: Path | str, picture: Picture) -> None:
    """Refuse a format that cannot hold the transparency of a picture.

    Raises:
        ImageError: If a pixel is transparent and the format has no alpha.
    """
    chosen, pixels = format_of(path), picture.pixels
    top = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    if picture.has_alpha and not chosen.alpha and (pixels[..., -1] != top).any():
        raise ImageError(f"{chosen.name} cannot hold the transparency of {path}; write PNG, WebP or TIFF instead.")
