"""16 bits a channel in colour, which Pillow reads as 8 bits without a word and does not write.

Pillow's own decoders are used where they can be: they decode 16-bit samples but keep one byte of each. The same file is
decoded twice, once for the high bytes and once, told the other byte order, for the low ones. tifffile reads the TIFF
layouts that Pillow does not know, and writes TIFF.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from PIL import Image, ImageFile

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures.metadata import oriented

_PNG_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG specification, table 11.1, by channel count
_SUB_FILTER = 1  # PNG specification, 9.2: each byte minus the one a pixel to the left
_BLOCK = 1 << 22  # bytes handed to zlib at a time


def read_with_pillow(image: Image.Image) -> Pixels | None:
    """Return the full depth of an opened 16-bit PNG or TIFF with several channels, or None for any other image.

    Args:
        image: As `Image.open` gave it, not loaded yet.

    Returns:
        `(H, W, C)` `uint16`, C = 2, 3 or 4; TIFF's orientation is applied by Pillow, PNG's is not.
    """
    tiles = getattr(image, "tile", None)
    if not tiles or image.format not in ("PNG", "TIFF"):
        return None
    if image.format == "TIFF" and _has_separate_planes(image):
        return read_other_tiff(_source(image))
    raw = _raw_mode(tiles[0].args)
    if raw.startswith("LA;16"):
        return _gray_and_alpha(image)
    if not raw.startswith(("RGB;16", "RGBA;16", "RGBX;16", "RGBa;16")):
        return None
    family, order = raw.split(";16")
    if order == "N":  # native: what libtiff hands over
        order = "L" if struct.pack("=H", 1)[0] else "B"
    channels = 3 if family in ("RGB", "RGBX") else 4
    base = "RGBA" if family == "RGBa" else family
    high = _decode(image, f"{base};16{order}")[..., :channels]
    low = _decode(image, f"{base};16{'B' if order == 'L' else 'L'}")[..., :channels]
    pixels = (high.astype(np.uint16) << 8) | low
    if family == "RGBa":
        return _straight(pixels)
    return _with_colour_key(pixels, image.info.get("transparency"))


def _source(image: Image.Image) -> Path | io.BytesIO:
    """Return what an image was opened from, to open it again."""
    assert isinstance(image, ImageFile.ImageFile)  # it has tiles
    if image.filename:
        return Path(os.fsdecode(image.filename))
    stream = cast(IO[bytes], image.fp)
    position = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(position)
    return io.BytesIO(content)


def _has_separate_planes(image: Image.Image) -> bool:
    """Tell a 16-bit TIFF with one plane for each channel, of which Pillow makes 8 bits or nonsense."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(284) == 2 and max(tags.get(258, (1,))) == 16  # PlanarConfiguration, BitsPerSample


def _raw_mode(args: object) -> str:
    first = args[0] if isinstance(args, tuple) else args
    return first if isinstance(first, str) else ""


def _decode(image: Image.Image, raw: str) -> Pixels:
    with Image.open(_source(image)) as again:
        tile = again.tile[0]
        args = (raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw
        again.tile = [tile._replace(args=args)]
        again.load()
        return np.asarray(again)


def _gray_and_alpha(image: Image.Image) -> Pixels:
    """Decode PNG's two 16-bit channels as the four bytes that they are."""
    with Image.open(_source(image)) as again:
        again._mode = "RGBA"  # Pillow names no other way to ask for raw bytes
        again.tile = [again.tile[0]._replace(args="RGBA")]
        again.load()
        return np.asarray(again).view(">u2").astype(np.uint16)


def _straight(pixels: Pixels) -> Pixels:
    """Undo TIFF's premultiplied alpha."""
    alpha = pixels[..., 3:].astype(np.float64)
    colour = np.divide(pixels[..., :3] * 65535.0, alpha, out=np.zeros(pixels[..., :3].shape), where=alpha > 0)
    return np.concatenate([np.rint(colour).clip(0, 65535).astype(np.uint16), pixels[..., 3:]], axis=-1)


def _with_colour_key(pixels: Pixels, key: object) -> Pixels:
    """Turn PNG's one transparent colour into an alpha channel."""
    if not isinstance(key, tuple) or pixels.shape[-1] != 3:
        return pixels
    opaque = (pixels != np.array(key, dtype=np.uint16)).any(axis=-1, keepdims=True)
    return np.concatenate([pixels, opaque.astype(np.uint16) * np.uint16(65535)], axis=-1)


def read_other_tiff(path: Path | io.BytesIO) -> Pixels | None:
    """Read with tifffile a TIFF that Pillow cannot identify, or return None for any other file.

    Returns:
        `(H, W, C)`: `uint8`, `uint16` or `float32`.

    Raises:
        ImageError: If it is a TIFF, but neither gray nor RGB, or of another depth.
    """
    with path.open("rb") if isinstance(path, Path) else io.BytesIO(path.getvalue()) as file:
        if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return None
    import tifffile  # noqa: PLC0415  # slow to import, and seldom needed

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        pixels = page.asarray()
        planar = pixels.ndim == 3 and getattr(page, "planarconfig", 1) == 2
        turn = page.tags.valueof(274, default=1)  # Orientation
    pixels = np.moveaxis(pixels, 0, -1) if planar else pixels
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[-1] > 4 or pixels.dtype.name not in ("uint8", "uint16", "float16", "float32"):
        name = path if isinstance(path, Path) else "The file"
        found = f"{pixels.dtype} {pixels.shape}"
        raise ImageError(f"{name} must be a gray or RGB TIFF of 8 or 16 bits, got {found}; convert it first.")
    pixels = oriented(pixels, turn)
    return pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels.astype(pixels.dtype.newbyteorder("="))


def write_png(file: IO[bytes], pixels: Pixels, *, icc_profile: bytes | None = None, exif: bytes | None = None) -> None:
    """Write a 16-bit PNG of one to four channels.

    Args:
        file: Open for writing.
        pixels: `(H, W, C)`, `uint16`.
        icc_profile: Stored as iCCP.
        exif: Stored as eXIf.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOUR_TYPE[channels], 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
    if icc_profile:
        file.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile)))
    if exif:
        file.write(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    for data in _compressed_rows(pixels):
        file.write(_chunk(b"IDAT", data))
    file.write(_chunk(b"IEND", b""))


def _compressed_rows(pixels: Pixels) -> Iterator[bytes]:
    height, width, channels = pixels.shape
    pixel, compressor = 2 * channels, zlib.compressobj(6)
    rows = max(1, _BLOCK // (width * pixel))
    for top in range(0, height, rows):
        block = pixels[top : top + rows]
        raw = block.astype(">u2").reshape(len(block), -1).view(np.uint8)
        lines = np.empty((len(block), 1 + raw.shape[1]), np.uint8)
        lines[:, 0], lines[:, 1 : 1 + pixel] = _SUB_FILTER, raw[:, :pixel]
        lines[:, 1 + pixel :] = raw[:, pixel:] - raw[:, :-pixel]  # modulo 256
        if data := compressor.compress(lines.tobytes()):
            yield data
    yield compressor.flush()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_tiff(path: Path | str | os.PathLike[str], pixels: Pixels, *, icc_profile: bytes | None = None) -> None:
    """Write a TIFF of one to four channels in the depth of the array, BigTIFF where it must be.

    Args:
        path: The file.
        pixels: `(H, W, C)`: `uint8`, `uint16` or `float32`.
        icc_profile: Stored as tag 34675.
    """
    import tifffile  # noqa: PLC0415  # slow to import, and seldom needed

    channels = pixels.shape[-1]
    tifffile.imwrite(
        path,
        pixels if channels > 1 else pixels[..., 0],
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        predictor=True if pixels.dtype.kind == "u" else None,
        bigtiff=pixels.nbytes > 2**32 - 2**25,  # tifffile's own margin for the file's structure
        iccprofile=icc_profile,
        metadata=None,
    )
