"""Pixels of an image that Pillow has opened, in the depth of its file.

Pillow reads colour of more than 8 bits as 8, without a word. imagecodecs decodes those files, and the two are compared.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import imagecodecs
import numpy as np
from PIL import Image, ImageFile

from prosr_lightning.errors import ImageError, MissingDependencyError
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures.inks import cmyk_to_rgb, lab_to_rgb

_THUMBNAIL = 16  # pixels
_TOLERANCE = 8  # of 255, for the mean of a block; readers round, and convert colours, differently


def pixels_of(image: Image.Image, name: str) -> tuple[Pixels, bytes | None]:
    """Load an image of any mode that is no TIFF, and return its pixels, not yet turned, with their profile.

    Returns:
        `(H, W, C)`, `uint8`, `uint16` or `float32`, C from 1 to 4.

    Raises:
        ImageError: If it has 32-bit integers, or if two readers disagree on it.
    """
    deep = _deep(image)
    if deep is None:
        return flat_pixels(image, name)
    image.info.pop("transparency", None)  # Pillow compares the transparent colour in 8 bits
    other, _ = flat_pixels(image, name)
    require_agreement(deep[..., : other.shape[-1]], other, name)
    return deep, image.info.get("icc_profile")


def require_agreement(pixels: Pixels, other: Pixels, name: str) -> None:
    """Raise ImageError unless two readers saw the same picture, by its thumbnail: better no picture than a wrong one.

    Args:
        pixels: `(H, W, C)` as one reader has them, in any depth.
        other: As another has them; 8 bits are enough.
        name: What messages call the file.
    """
    mine, theirs = _thumbnail(pixels), _thumbnail(other)
    if mine.shape != theirs.shape or np.abs(mine - theirs).max() > _TOLERANCE:
        raise ImageError(
            f"{name} must be read alike by two libraries, got different pictures; save it in another format first."
        )


def in_8_bits(pixels: Pixels) -> Pixels:
    """Round pixels of any depth to 8 bits."""
    if pixels.dtype == np.uint8:
        return pixels
    top = 65535 if pixels.dtype == np.uint16 else 1
    rounded: Pixels = np.rint(pixels.astype(np.float32) * np.float32(255 / top)).clip(0, 255).astype(np.uint8)
    return rounded


def _thumbnail(pixels: Pixels) -> Pixels:
    """Return means of blocks, `(h, w, 4)`, premultiplied."""
    low = in_8_bits(pixels)
    image = Image.fromarray(np.ascontiguousarray(low[..., 0] if low.shape[-1] == 1 else low)).convert("RGBA")
    size = (min(_THUMBNAIL, image.width), min(_THUMBNAIL, image.height))
    return np.asarray(image.convert("RGBa").resize(size, Image.Resampling.BOX)).astype(np.float32)


def content(image: Image.Image) -> bytes:
    """Return the bytes of the file that an image was opened from."""
    assert isinstance(image, ImageFile.ImageFile)
    if image.filename:
        return Path(os.fsdecode(image.filename)).read_bytes()
    stream = cast(IO[bytes], image.fp)
    position = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(position)
    return data


def is_unread(image: Image.Image) -> bool:
    """Whether an image was opened from a file and its pixels are still as they are there."""
    return isinstance(image, ImageFile.ImageFile) and bool(image.tile or image.format in ("JXL", "AVIF", "HEIF"))


def _deep(image: Image.Image) -> Pixels | None:
    """Return the pixels of a file with more than 8 bits a channel that Pillow would cut, else None."""
    decoder = _DECODERS.get(image.format or "") if is_unread(image) and getattr(image, "n_frames", 1) == 1 else None
    pixels = decoder(image, content(image)) if decoder else None
    return pixels[..., None] if pixels is not None and pixels.ndim == 2 else pixels


def _deep_png(image: Image.Image, data: bytes) -> Pixels | None:
    return imagecodecs.png_decode(data) if data[24] == 16 else None  # IHDR's depth


def _deep_ppm(image: Image.Image, data: bytes) -> Pixels | None:
    _, _, offset, args = image.tile[0]  # type: ignore[attr-defined]
    if image.mode != "RGB" or not data.startswith(b"P6") or not isinstance(args, tuple) or args[1] < 256:
        return None
    values = np.frombuffer(data, ">u2", image.width * image.height * 3, offset)
    return _scaled(values.reshape(image.height, image.width, 3), args[1])


def _deep_jpeg_2000(image: Image.Image, data: bytes) -> Pixels | None:
    at = data.find(b"\xff\x4f\xff\x51") + 42  # SOC and SIZ, of which Ssiz is the depth of the first channel
    bits = (data[at] & 127) + 1
    return _scaled(imagecodecs.jpeg2k_decode(data), 2**bits - 1) if bits > 8 else None


def _deep_avif(image: Image.Image, data: bytes) -> Pixels | None:
    flags = data[data.find(b"av1C") + 6]  # AV1 in ISO-BMFF, 2.3.3: high_bitdepth, twelve_bit
    return _scaled(imagecodecs.avif_decode(data), 4095 if flags & 32 else 1023) if flags & 64 else None


def _deep_jpeg_xl(image: Image.Image, data: bytes) -> Pixels | None:
    for kind, at, size in _boxes(data):
        if kind == b"xml ":  # the plugin leaves it out
            image.info["xmp"] = data[at : at + size]
    pixels = imagecodecs.jpegxl_decode(data)
    return None if pixels.dtype == np.uint8 else pixels.astype("f4") if pixels.dtype.kind == "f" else pixels


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, place and size of the contents of each box (ISO/IEC 18181-2, 9)."""
    at = 0
    while data.startswith(b"\0\0\0\x0cJXL ") and at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 16 if size == 1 else 8
        size = struct.unpack_from(">Q", data, at + 8)[0] if size == 1 else size or len(data) - at
        yield kind, at + head, size - head
        at += max(size, 8)


def _deep_heic(image: Image.Image, data: bytes) -> Pixels | None:
    bits = image.info.get("bit_depth", 8)
    if bits <= 8:
        return None
    import pillow_heif  # noqa: PLC0415  # optional

    pixels = np.asarray(pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False))
    return _scaled(pixels, 65536 - (1 << (16 - bits)))  # the values stand in the high bits


_DECODERS = {
    "PNG": _deep_png,
    "PPM": _deep_ppm,
    "JPEG2000": _deep_jpeg_2000,
    "AVIF": _deep_avif,
    "JXL": _deep_jpeg_xl,
    "HEIF": _deep_heic,
}


def _scaled(pixels: Pixels, top: int) -> Pixels:
    return np.rint(pixels.astype(np.float64) * (65535 / top)).clip(0, 65535).astype(np.uint16)


def flat_pixels(image: Image.Image, name: str) -> tuple[Pixels, bytes | None]:
    """Return the pixels of a Pillow image as it has them, `(H, W, C)`, with their profile.

    Raises:
        ImageError: If it has 32-bit integers.
    """
    image.load()
    profile = image.info.get("icc_profile") or None
    transparent = "transparency" in image.info
    if image.mode == "CMYK":
        return cmyk_to_rgb(np.asarray(image), profile, name)
    if image.mode == "LAB":
        return lab_to_rgb(np.asarray(image), signed=True)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if transparent or image.mode == "PA" else "RGB")
    elif image.mode in ("YCbCr", "HSV", "RGBX"):
        image = image.convert("RGB")
    elif image.mode in ("1", "L", "RGB", "RGBa", "La"):
        wide = {"1": "L", "RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode)
        image = image.convert({"L": "LA", "RGB": "RGBA"}.get(wide, wide) if transparent else wide)
    elif image.mode == "I":
        # Pillow before 11.3 and its PPM reader give 16-bit gray as 32-bit integers
        if image.format not in ("PNG", "PPM"):
            raise ImageError(f"{name} must have 8 or 16 bits a channel, got 32-bit integers; convert it first.")
        return np.asarray(image).astype(np.uint16)[..., None], profile
    pixels = np.asarray(image)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        pixels = pixels.astype(np.uint16)  # I;16B is big-endian
    return (pixels[..., None] if pixels.ndim == 2 else pixels), profile


def without_end(image: Image.Image, name: str) -> Image.Image | None:
    """Open a JPEG again that lacks only its end marker, or return None if more is missing.

    If its last block is there, the picture does not depend on what follows, be it zeros or anything else.
    """
    if image.format not in ("JPEG", "MPO"):
        return None
    data, pictures = content(image), []
    for filling in (bytes(4096), b"\x55" * 4096):
        again = Image.open(io.BytesIO(data + filling + b"\xff\xd9"))
        again.load()
        pictures.append(again)
    return pictures[0] if pictures[0].tobytes() == pictures[1].tobytes() else None


def register_plugins() -> None:
    """Let Pillow know HEIC and JPEG XL where their plugins are installed."""
    with suppress(ImportError):
        import pillow_heif  # noqa: PLC0415  # optional

        pillow_heif.register_heif_opener()
    with suppress(ImportError):
        import pillow_jxl  # noqa: F401, PLC0415  # optional


_HEIC_BRANDS = {b"heic", b"heix", b"heif", b"hevc", b"mif1", b"msf1"}


def require_plugin(head: bytes, name: str) -> None:
    """Raise MissingDependencyError if a file that Pillow cannot identify needs a package that is not installed.

    Args:
        head: The first bytes of the file.
        name: What messages call it.
    """
    heic = head[4:8] == b"ftyp" and not _HEIC_BRANDS.isdisjoint(head[at : at + 4] for at in range(8, len(head), 4))
    if heic or head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        kind, package = ("HEIC", "pillow-heif") if heic else ("JPEG XL", "pillow-jxl-plugin")
        raise MissingDependencyError(f"{name} is {kind}, which needs a package more; run `pip install {package}`.")
