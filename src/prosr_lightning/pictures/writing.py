"""Writing a picture, whole or row by row, in the format that the name of its file says."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import imagecodecs
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import Pixels, atomic_path
from prosr_lightning.pictures import decoding
from prosr_lightning.pictures.formats import Format, check_fits, check_opaque, format_of
from prosr_lightning.pictures.inks import to_srgb
from prosr_lightning.pictures.metadata import fitted_exif, photoshop_segment, tiff_tags
from prosr_lightning.pictures.picture import Picture, in_8_bits, to_pil
from prosr_lightning.pictures.png import write_png
from prosr_lightning.pictures.rows import PixelRows, WholePicture, whole
from prosr_lightning.pictures.tiff import write_tiff

log = logging.getLogger(__name__)

_JPEG_SEGMENT = 65533  # bytes that one holds (ITU T.81)
QUALITY = 95  # near what the eye cannot tell, for the formats that lose


def write_picture(
    path: Path | str, picture: Picture | Sequence[Picture], *, quality: int | None = None, as_read: bool = False
) -> None:
    """Write a picture, or the frames of an animation, in the format of the suffix, whole or not at all.

    What the format cannot hold is said: a depth is rounded to 8 bits, a profile is applied to the pixels, metadata are
    left out.

    Args:
        path: The file; missing parent folders are made.
        picture: See `Picture`; frames all have the same shape.
        quality: 1 to 100, for formats that lose; without one it is high (`QUALITY`).
        as_read: Encode as the picture's file was encoded, if that was in this format; see `Picture.encoding`.

    Raises:
        ImageError: If the format cannot hold the size, the number or the transparency.
        StorageError: If the disk is full or the place cannot be written.
    """
    pictures, chosen = [picture] if isinstance(picture, Picture) else list(picture), format_of(path)
    height, width = pictures[0].pixels.shape[:2]
    check_fits(path, width, height, frames=len(pictures))
    if len(pictures) > 1 and chosen.name != "TIFF":  # pages may be of any kind, frames are 8-bit pictures of one size
        if len({picture.pixels.shape for picture in pictures}) > 1:
            raise ImageError(f"{chosen.name} holds frames of one size, got several for {path}; write TIFF instead.")
        one_profile = len({picture.icc_profile for picture in pictures}) == 1
        holds = chosen.holds if one_profile else chosen.holds - {"icc_profile"}
        chosen = replace(chosen, depths=("uint8",), holds=holds)
    fitting = [_fitting(path, picture, chosen) for picture in pictures]
    kind, arguments = pictures[0].encoding or ("", {})
    if as_read and kind == chosen.name and quality is None:
        options = chosen.options | arguments
    else:
        options = chosen.options | ({"quality": quality or QUALITY} if chosen.lossy else {})
    with atomic_path(path) as temporary:
        _write(temporary, fitting, chosen, options, str(path))


def write_rows(
    path: Path | str, frames: Sequence[tuple[Picture, PixelRows]], *, quality: int | None = None, as_read: bool = False
) -> None:
    """Write a picture or frames whose rows are made while they are taken, whole or not at all.

    TIFF, and PNG of one frame, are written row by row; for the other formats the picture is put together first.

    Args:
        path: As for `write_picture`.
        frames: Of each what belongs to it, its own pixels being left out of account; and the pixels.
        quality: As for `write_picture`.
        as_read: Likewise.

    Raises:
        ImageError, StorageError: As `write_picture`, and whatever making the rows raises.
        OutOfMemoryError: If memory does not hold a picture that must be put together.
    """
    chosen, (_, first) = format_of(path), frames[0]
    height, width, _ = first.shape
    check_fits(path, width, height, frames=len(frames))
    if chosen.name != "TIFF" and (chosen.name != "PNG" or len(frames) > 1):
        pictures = [replace(head, pixels=whole(rows)) for head, rows in frames]
        write_picture(path, pictures, quality=quality, as_read=as_read)
        return
    pages = [rows for _, rows in frames]
    if first.dtype.name not in chosen.depths:
        log.warning("%s holds 8 bits a channel; %s is rounded to that.", chosen.name, path)
        pages = [_In8Bits(rows) for rows in pages]
    heads = [head for head, _ in frames]
    with atomic_path(path) as temporary:
        _write_in_rows(temporary, list(zip(heads, pages, strict=True)), chosen, str(path))


class _In8Bits:
    """Rows of any depth, rounded to 8 bits."""

    def __init__(self, rows: PixelRows) -> None:
        self.shape, self.dtype, self._rows = rows.shape, np.dtype(np.uint8), rows

    def bands(self) -> Iterator[Pixels]:
        return map(decoding.in_8_bits, self._rows.bands())


def _fitting(path: Path | str, picture: Picture, chosen: Format) -> Picture:
    """Return the picture as the format can hold it."""
    check_opaque(path, picture)
    if picture.pixels.dtype.name not in chosen.depths:
        log.warning("%s holds 8 bits a channel; %s is rounded to that.", chosen.name, path)
        picture = in_8_bits(picture)
    if picture.has_alpha and not chosen.alpha:
        picture = replace(picture, pixels=picture.pixels[..., :-1])
    if picture.icc_profile and "icc_profile" not in chosen.holds:
        picture = replace(picture, pixels=to_srgb(picture.pixels, picture.icc_profile, str(path)), icc_profile=None)
    return picture


def _write(path: Path, pictures: Sequence[Picture], chosen: Format, options: dict[str, Any], name: str) -> None:
    first = pictures[0]
    if chosen.name == "TIFF" or (chosen.name == "PNG" and len(pictures) == 1):
        _write_in_rows(path, [(picture, WholePicture(picture.pixels)) for picture in pictures], chosen, name)
        return
    _say_what_is_lost(first, chosen, name)
    arguments = options | _arguments(first, first.pixels.shape, chosen, name)
    if chosen.name == "JXL":
        data = _jpeg_xl(first, options["quality"], arguments)
        path.write_bytes(data)
    else:
        _save(path, pictures, chosen, arguments)


def _write_in_rows(path: Path, pages: Sequence[tuple[Picture, PixelRows]], chosen: Format, name: str) -> None:
    head, first = pages[0]
    height, width, _ = first.shape
    _say_what_is_lost(head, chosen, name)
    if chosen.name == "TIFF":
        tags = tiff_tags(head.metadata, width, height)
        write_tiff(path, [(rows, picture.icc_profile) for picture, rows in pages], tags=tags)
        return
    frame = io.BytesIO()  # the chunks of metadata that Pillow makes
    Image.new("L", (1, 1)).save(frame, "PNG", **_arguments(head, first.shape, chosen, name))
    chunks = frame.getvalue()
    with path.open("wb") as file:  # behind the signature and IHDR
        write_png(file, first, before=chunks[33 : chunks.rindex(b"IDAT") - 4])


def _say_what_is_lost(picture: Picture, chosen: Format, name: str) -> None:
    kinds = {"exif": "EXIF", "xmp": "XMP", "iptc": "IPTC", "dpi": "the resolution", "text": "texts"}
    lost = [word for kind, word in kinds.items() if kind not in chosen.holds and getattr(picture.metadata, kind)]
    if "comment" in chosen.holds and picture.metadata.text.keys() <= {"Comment"}:
        lost = [word for word in lost if word != "texts"]
    if lost:
        log.warning("%s cannot hold %s; %s is without.", chosen.name, ", ".join(lost), name)


def _arguments(picture: Picture, shape: tuple[int, ...], chosen: Format, name: str) -> dict[str, Any]:
    """Return the metadata as Pillow's arguments for a picture of that shape."""
    metadata, arguments = picture.metadata, dict[str, Any]()
    height, width = shape[:2]
    jpeg = chosen.name == "JPEG"
    if picture.icc_profile:
        arguments["icc_profile"] = picture.icc_profile
    if metadata.dpi:
        arguments["dpi"] = metadata.dpi
    if "exif" in chosen.holds:
        with_dpi = chosen.name in ("WEBP", "AVIF", "JXL")  # they have no other place for it
        longest = _JPEG_SEGMENT if jpeg else None
        exif, omitted = fitted_exif(metadata, width, height, with_dpi=with_dpi, longest=longest)
        if omitted:
            log.warning("JPEG holds 64 KiB of EXIF; %s is without %s.", name, ", ".join(omitted))
        arguments |= {"exif": exif} if exif else {}
    if metadata.xmp and jpeg and len(metadata.xmp) > _JPEG_SEGMENT - 29:  # the segment's name
        log.warning("JPEG holds 64 KiB of XMP; %s is without.", name)
    elif metadata.xmp and "xmp" in chosen.holds:
        arguments["xmp"] = metadata.xmp
    if metadata.iptc and jpeg:
        try:
            arguments["extra"] = photoshop_segment(metadata.iptc)
        except ValueError as error:
            log.warning("%s is without IPTC: %s.", name, error)
    if "comment" in chosen.holds and "Comment" in metadata.text:
        arguments["comment"] = metadata.text["Comment"].encode()[:_JPEG_SEGMENT]
    if chosen.name == "PNG":
        arguments["pnginfo"] = texts = PngInfo()
        for key, text in metadata.text.items():
            texts.add_itxt(key, text)
        if xmp := arguments.pop("xmp", None):
            texts.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    return arguments


def _save(path: Path, pictures: Sequence[Picture], chosen: Format, arguments: dict[str, Any]) -> None:
    images = [to_pil(picture) for picture in pictures]
    if chosen.name == "WEBP":
        images = [
            image.convert("RGBA" if image.mode == "LA" else "RGB") if image.mode in ("L", "LA") else image
            for image in images
        ]
    for image in images:
        image.info.clear()  # the arguments alone decide
    if len(images) > 1:
        durations = [round(picture.duration or 0) for picture in pictures]
        loop = {} if pictures[0].loop is None else {"loop": pictures[0].loop}
        arguments |= {"save_all": True, "append_images": images[1:], "duration": durations, **loop}
        arguments |= {"disposal": 2} if chosen.name == "GIF" else {}
    with path.open("w+b") as file:
        images[0].save(cast(IO[bytes], _Checked(file)), format=chosen.name, **arguments)


def _jpeg_xl(picture: Picture, quality: int, arguments: dict[str, Any]) -> bytes:
    """Encode as JPEG XL in its container, with the metadata in boxes behind the picture."""
    pixels = picture.pixels[..., 0] if picture.pixels.shape[-1] == 1 else picture.pixels
    distance = 0.1 + (100 - quality) * 0.09 if quality >= 30 else 53 / 3000 * quality**2 - 23 / 20 * quality + 25
    data = imagecodecs.jpegxl_encode(
        np.ascontiguousarray(pixels), distance=0 if quality == 100 else distance, lossless=quality == 100,
        usecontainer=True,
    )  # fmt: skip
    exif = arguments.get("exif", b"").removeprefix(b"Exif\0\0")
    boxes = [(b"Exif", bytes(4) + exif if exif else b""), (b"xml ", arguments.get("xmp", b""))]
    return bytes(data) + b"".join(struct.pack(">I", 8 + len(box)) + kind + box for kind, box in boxes if box)


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
