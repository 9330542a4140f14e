"""What belongs to a picture besides its pixels, made fit to travel to another file.

Orientation is applied to the pixels and taken out of EXIF and XMP; sizes are taken out of XMP and corrected in EXIF.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import IO, Any, cast

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tifffile import TiffPage

from prosr_lightning.imaging.io import Pixels

log = logging.getLogger(__name__)


# Tags of the first directory that say what the picture is; the others say how its file is laid out, where its pixels
# lie on the earth, or how to develop raw data. Exif 2.32, 4.6; XMP specification part 3; Windows' own.
_KEPT_TAGS = {*range(269, 273), 285, 305, 306, 315, 316, 18246, 18249, 33432, 33434, 33437, 34665, 34850, 34853, 34855}
_KEPT_TAGS |= set(range(0x9000, 0xA600)) - {37724, 40965}  # of Exif; without Photoshop's layers and a place in the file
_GEOKEYS = 34735
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_EXIF, _GPS, _XMP, _IPTC, _PHOTOSHOP = 34665, 34853, 700, 33723, 34377
_WIDTH, _HEIGHT = 0xA002, 0xA003  # Exif's PixelXDimension and PixelYDimension
_IPTC_RESOURCE = 0x0404  # of Photoshop's image resources
_XMP_NAMES = rb"(tiff:(?:Orientation|ImageWidth|ImageLength)|exif:Pixel[XY]Dimension)"
_XMP_OF_ONE_FILE = re.compile(rb"\s*" + _XMP_NAMES + rb"""\s*=\s*(["']).*?\2|<""" + _XMP_NAMES + rb">[^<]*</\3>")


@dataclass(frozen=True)
class Metadata:
    """What a file says of a picture, without what holds for that file alone.

    Attributes:
        exif: EXIF without orientation, layout and thumbnail.
        xmp: The packet.
        iptc: IPTC-IIM records: title, keywords, rights.
        dpi: Pixels per inch, in x and y.
        text: Texts of a PNG, by keyword; the comment of a JPEG or GIF is "Comment".
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: dict[str, str] = field(default_factory=dict)


def of_image(image: Image.Image, name: str) -> Metadata:
    """Collect what Pillow knows of a loaded image; what is damaged is left out, with a warning that names the file."""
    xmp, photoshop = image.info.get("xmp"), image.info.get("photoshop")
    texts = getattr(image, "text", {}) if image.format == "PNG" else {}
    if isinstance(comment := image.info.get("comment"), bytes) and comment:
        texts = {"Comment": comment.decode("utf-8", "replace")}
    try:
        dpi, exif = _dpi(image), _encoded(image.getexif(), name)
    except Exception as error:  # noqa: BLE001  # damaged metadata must not cost the user the picture
        log.warning("The EXIF of %s is damaged and left out: %s", name, error)
        dpi, exif = _sound_dpi(image.info.get("dpi")), None
    return Metadata(
        exif,
        _portable_xmp(xmp.encode() if isinstance(xmp, str) else xmp),
        photoshop.get(_IPTC_RESOURCE) if isinstance(photoshop, dict) else None,
        dpi,
        {key: str(text) for key, text in texts.items() if not key.startswith(("XML:", "Raw profile"))},
    )


def of_page(page: TiffPage, name: str) -> Metadata:
    """Collect what a TIFF page says; what is damaged is left out, with a warning that names the file."""
    values = {tag: _value(page, tag) for tag in (_XMP, _IPTC, _PHOTOSHOP)}
    try:
        exif = Image.Exif()
        if page.parent.is_bigtiff and page.parent.byteorder == ">":
            raise ValueError("Pillow does not know big-endian BigTIFF")
        exif.endian, exif.bigtiff = page.parent.byteorder, page.parent.is_bigtiff
        exif.load_from_fp(cast(IO[bytes], page.parent.filehandle), page.offset)
        _places(exif)  # read as long as it is known to be of a BigTIFF, which EXIF by itself never is
        exif.bigtiff = False
        encoded = _encoded(exif, name)
    except Exception as error:  # noqa: BLE001  # damaged metadata must not cost the user the picture
        log.warning("The EXIF of %s cannot be read and is left out: %s", name, error)
        encoded = None
    if _GEOKEYS in page.tags:
        log.warning("%s is georeferenced; the result is not, as its pixels are of another size.", name)
    dpi = _dpi_of_tags(*(_value(page, tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT)))
    iptc = values[_IPTC] if isinstance(values[_IPTC], bytes) else _iptc_among(values[_PHOTOSHOP])
    return Metadata(encoded, _portable_xmp(values[_XMP]), iptc, dpi)


def _value(page: TiffPage, tag: int) -> Any:  # noqa: ANN401  # whatever the file holds
    try:
        return page.tags.valueof(tag)
    except Exception:  # noqa: BLE001  # damaged metadata must not cost the user the picture
        return None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """Return the resolution that the file states; for a JPEG with EXIF but without resolution Pillow says 72."""
    if "dpi" in image.info and (image.format not in ("JPEG", "MPO") or image.info.get("jfif_unit")):
        return _sound_dpi(image.info["dpi"])
    exif = image.getexif()
    return _dpi_of_tags(*(exif.get(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT)))


def _dpi_of_tags(x: Any, y: Any, unit: Any) -> tuple[float, float] | None:  # noqa: ANN401  # whatever the file holds
    inches = {None: 1.0, 2: 1.0, 3: 2.54}.get(unit) if isinstance(unit, int | None) else None
    try:
        values = [value[0] / value[1] if isinstance(value, tuple) else float(value) for value in (x, y)]
    except (TypeError, IndexError, ZeroDivisionError):
        return None
    return _sound_dpi([value * inches for value in values]) if inches else None


def _sound_dpi(dpi: Any) -> tuple[float, float] | None:  # noqa: ANN401  # whatever the file holds
    try:
        x, y = (round(float(value), 2) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (x, y) if 1 < x < 65536 and 1 < y < 65536 else None  # JFIF has 16 bits; 1 stands for no unit


def _portable_xmp(packet: Any) -> bytes | None:  # noqa: ANN401  # whatever the file holds
    return _XMP_OF_ONE_FILE.sub(b"", packet) if isinstance(packet, bytes) else None


def _iptc_among(resources: Any) -> bytes | None:  # noqa: ANN401  # whatever the file holds
    """Find IPTC among Photoshop's image resources: "8BIM", number, padded name, length, padded data."""
    at = 0
    while isinstance(resources, bytes) and resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        number, name = struct.unpack_from(">HB", resources, at + 4)
        at += 6 + (name + 2) // 2 * 2
        (length,) = struct.unpack(">I", resources[at : at + 4].rjust(4, b"\0"))
        if number == _IPTC_RESOURCE:
            return resources[at + 4 : at + 4 + length]
        at += 4 + (length + 1) // 2 * 2
    return None


def photoshop_segment(iptc: bytes) -> bytes:
    """Return IPTC as a JPEG's segment APP13.

    Raises:
        ValueError: If it does not fit into one.
    """
    resource = struct.pack(">4sHHI", b"8BIM", _IPTC_RESOURCE, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    data = b"Photoshop 3.0\0" + resource
    if len(data) > 65533:
        raise ValueError("IPTC is longer than 64 KiB")
    return struct.pack(">HH", 0xFFED, len(data) + 2) + data


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  # damaged metadata must not cost the user the picture
        return 1
    return value if 1 <= value <= 8 else 1


def orientation_of_page(page: TiffPage) -> int:
    """Return the orientation of a TIFF page, 1 to 8; 1 where there is none or it makes no sense."""
    value = _value(page, ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def oriented(pixels: Pixels, turn: int) -> Pixels:
    """Apply an EXIF orientation to pixels (Exif 2.3, 4.6.4: 2-4 flip and turn, 5-8 swap rows and columns first).

    Args:
        pixels: `(H, W, C)`.
        turn: 1 to 8.

    Returns:
        A view, `(H, W, C)` or `(W, H, C)`.
    """
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _encoded(exif: Image.Exif, name: str) -> bytes | None:
    """Return EXIF without orientation and without the layout of the file it came from."""
    for tag in exif.keys() - _KEPT_TAGS:
        del exif[tag]
    if damaged := [_tag_name(tag) for place in _places(exif) for tag in list(place) if not _kept(place, tag)]:
        log.warning("Some EXIF of %s is damaged and left out: %s.", name, ", ".join(damaged))
    return exif.tobytes() if len(exif) else None


def _places(exif: Image.Exif) -> list[MutableMapping[int, Any]]:
    """Return the directories of EXIF, as they are there."""
    return [exif, *(exif.get_ifd(tag) for tag in (_EXIF, _GPS) if tag in exif)]


def _kept(place: MutableMapping[int, Any], tag: int) -> bool:
    """Tell whether a tag can be written again, and delete it if it cannot."""
    if tag in (_EXIF, _GPS):
        return True
    try:
        alone = ImageFileDirectory_v2()
        alone[tag] = place[tag]
        alone.tobytes()
    except Exception:  # noqa: BLE001  # Pillow raises errors of many kinds for values of a wrong type
        del place[tag]
        return False
    return True


def _tag_name(tag: int) -> str:
    return ExifTags.TAGS.get(tag, str(tag))


def fitted_exif(
    metadata: Metadata, width: int, height: int, *, with_dpi: bool = False, longest: int | None = None
) -> tuple[bytes | None, list[str]]:
    """Return EXIF for a file of this size.

    Args:
        metadata: Of the picture.
        width: Of the file's picture.
        height: Likewise.
        with_dpi: Put the resolution in, for formats that have no other place for it.
        longest: Bytes that the format can hold; what is longest is left out until the rest fits.

    Returns:
        The bytes, and the names of tags that were left out.
    """
    exif, omitted = Image.Exif(), list[str]()
    if metadata.exif:
        exif.load(metadata.exif)
    details = exif.get_ifd(_EXIF) if _EXIF in exif else {}
    details.update({tag: size for tag, size in ((_WIDTH, width), (_HEIGHT, height)) if tag in details})
    if metadata.dpi and (with_dpi or len(exif)):
        exif[_X_RESOLUTION], exif[_Y_RESOLUTION] = metadata.dpi
        exif[_RESOLUTION_UNIT] = 2
    if not len(exif) and not details:
        return None, omitted
    while longest and len(exif.tobytes()) > longest:
        values = {(id(place), tag): (place, tag) for place in (exif, details) for tag in place}
        place, tag = max(values.values(), key=lambda item: _length(item[0][item[1]]))
        del place[tag]
        omitted.append(_tag_name(tag))
    return exif.tobytes(), omitted


def _length(value: Any) -> int:  # noqa: ANN401  # whatever EXIF holds
    return len(value) if isinstance(value, bytes | str | tuple) else 0


def tiff_tags(metadata: Metadata, width: int, height: int) -> ImageFileDirectory_v2:
    """Return all of it as tags of a TIFF of this size."""
    tags = ImageFileDirectory_v2()
    encoded, _ = fitted_exif(metadata, width, height)
    if encoded:
        exif = Image.Exif()
        exif.load(encoded)
        for tag, value in exif.items():
            tags[tag] = exif.get_ifd(tag) if tag in (_EXIF, _GPS) else value
    if metadata.dpi:
        tags[_X_RESOLUTION], tags[_Y_RESOLUTION] = metadata.dpi
        tags[_RESOLUTION_UNIT] = 2
    for tag, data in ((_XMP, metadata.xmp), (_IPTC, metadata.iptc)):
        if data:
            tags.tagtype[tag] = 7  # UNDEFINED, as libtiff writes them
            tags[tag] = data
    return tags
