"""What came in goes out where the format can hold it, and what it cannot hold is named, once."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from prosr_lightning.pictures.formats import FORMATS
from prosr_lightning.pictures.metadata import Metadata, photoshop_segment
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.reading import from_pil, read_frames, read_picture
from prosr_lightning.pictures.writing import write_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER, ORIENTATION, XRES, EXIF, GPS = 271, 274, 282, 0x8769, 0x8825
EXPOSURE, WIDTH, LATITUDE = 0x829A, 0xA002, 2
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><dc:title>A title</dc:title></x:xmpmeta>"
IPTC = b"\x1c\x02\x05\x00\x07A title" + b"\x1c\x02\x19\x00\x03sea"  # records 2:05 title and 2:25 keyword
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def camera_exif(*, width: int = 16, orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    exif[MAKER] = "A maker"
    if orientation:
        exif[ORIENTATION] = orientation
    exif.get_ifd(EXIF).update({EXPOSURE: IFDRational(1, 60), WIDTH: width})
    exif.get_ifd(GPS).update({1: "N", LATITUDE: (47.0, 22.0, 1.5)})
    return exif.tobytes()


EVERYTHING = Metadata(camera_exif(), XMP, IPTC, (300.0, 200.0), {"Title": "A title"})


def facts(picture: Picture) -> dict[str, Any]:
    """Return what the metadata of a picture say, whatever their bytes."""
    exif = Image.Exif()
    if picture.metadata.exif:
        exif.load(picture.metadata.exif)
    details, place = exif.get_ifd(EXIF), exif.get_ifd(GPS)
    camera = (exif.get(MAKER), details.get(EXPOSURE), place.get(LATITUDE)) if len(exif) else None
    metadata = picture.metadata
    return {
        "icc_profile": picture.icc_profile,
        "exif": camera and (camera[0], float(camera[1]), tuple(map(float, camera[2]))),
        "xmp": metadata.xmp,
        "iptc": metadata.iptc,
        "dpi": metadata.dpi and tuple(round(value) for value in metadata.dpi),
        "text": {key: text for key, text in metadata.text.items() if key == "Title"} or None,
    }


EXPECTED = {
    "icc_profile": SRGB,
    "exif": ("A maker", 1 / 60, (47.0, 22.0, 1.5)),
    "xmp": XMP,
    "iptc": IPTC,
    "dpi": (300, 200),
    "text": {"Title": "A title"},
}


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (suffix, dtype)
        for suffix, chosen in FORMATS.items()
        for dtype in chosen.depths
        if suffix not in (".jpeg", ".tiff")
    ],
)
def test_what_came_in_goes_out_where_it_can(
    tmp_path: Path, suffix: str, dtype: str, caplog: pytest.LogCaptureFixture
) -> None:
    if suffix == ".jxl":
        pytest.importorskip("pillow_jxl")
    pixels = PIXELS if dtype == "uint8" else PIXELS * np.uint16(257) if dtype == "uint16" else PIXELS / np.float32(255)
    with caplog.at_level(logging.WARNING):
        write_picture(tmp_path / f"a{suffix}", Picture(pixels, SRGB, EVERYTHING))
    found, holds = facts(read_picture(tmp_path / f"a{suffix}")), FORMATS[suffix].holds
    if suffix == ".jxl":  # its reader makes the profile; the pixels are sRGB
        found.pop("icc_profile")
    assert {kind: value for kind, value in found.items() if value} == {
        kind: EXPECTED[kind] for kind in holds if kind != "comment"
    }
    words = {"exif": "EXIF", "xmp": "XMP", "iptc": "IPTC", "dpi": "the resolution", "text": "texts"}
    lost = [word for kind, word in words.items() if kind not in holds]
    assert [record.getMessage() for record in caplog.records if "cannot hold" in record.getMessage()] == (
        [f"{FORMATS[suffix].name} cannot hold {', '.join(lost)}; {tmp_path / f'a{suffix}'} is without."] if lost else []
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_sizes_in_exif_are_those_of_the_file_and_orientation_is_gone(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=camera_exif(width=32, orientation=6))
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.pixels.shape == (32, 24, 3)
    write_picture(tmp_path / f"b{suffix}", picture)
    with Image.open(tmp_path / f"b{suffix}") as image:
        exif = image.getexif()
        assert exif.get(ORIENTATION, 1) == 1
        assert exif.get_ifd(EXIF)[WIDTH] == 24


@pytest.mark.parametrize(
    "said", [b'tiff:Orientation="6"', b"<tiff:Orientation>6</tiff:Orientation>", b"exif:PixelXDimension='16'"]
)
def test_xmp_keeps_neither_orientation_nor_sizes(tmp_path: Path, said: bytes) -> None:
    packet = (
        b"<x:xmpmeta " + said + b" dc:format='image/jpeg'/>" if b"=" in said else b"<x>" + said + b"<y>rights</y></x>"
    )
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", xmp=packet)
    xmp = read_picture(tmp_path / "a.jpg").metadata.xmp
    assert xmp in (b"<x:xmpmeta dc:format='image/jpeg'/>", b"<x><y>rights</y></x>")


def test_exif_too_long_for_jpeg_costs_the_longest_tag_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exif = Image.Exif()
    exif[MAKER], exif[0x9C9C] = "A maker", b"x" * 70000
    write_picture(tmp_path / "a.jpg", Picture(PIXELS, SRGB, Metadata(exif.tobytes())))
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.icc_profile == SRGB
    assert b"A maker" in (picture.metadata.exif or b"")
    assert f"{tmp_path / 'a.jpg'} is without XPComment" in caplog.text


def test_long_xmp_and_iptc_are_named_where_jpeg_cannot_hold_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(tmp_path / "a.jpg", Picture(PIXELS, SRGB, Metadata(None, b"<x/>" * 20000, b"\x1c" * 70000)))
    assert read_picture(tmp_path / "a.jpg").metadata == Metadata()
    assert "64 KiB of XMP" in caplog.text
    assert "without IPTC" in caplog.text


def test_a_resolution_is_not_made_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[MAKER] = "A maker"
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)  # Pillow would say 72
    assert read_picture(tmp_path / "a.jpg").metadata.dpi is None
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb", resolution=(1, 1), resolutionunit=1)
    assert read_picture(tmp_path / "a.tif").metadata.dpi is None
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb", resolution=(100, 100), resolutionunit=3)
    assert read_picture(tmp_path / "a.tif").metadata.dpi == (254, 254)  # pixels per cm


def test_iptc_among_the_resources_of_a_photoshop_tiff(tmp_path: Path) -> None:
    resources = struct.pack(">4sHB5sI", b"8BIM", 1005, 4, b"name\0", 3) + b"abc\0"
    resources += photoshop_segment(IPTC)[18:]
    tifffile.imwrite(
        tmp_path / "a.tif", PIXELS, photometric="rgb", metadata=None,
        extratags=[(34377, 7, len(resources), resources, True)],
    )  # fmt: skip
    assert read_picture(tmp_path / "a.tif").metadata.iptc == IPTC


def test_every_other_tag_of_a_tiff_is_kept_beside_the_new_ones(tmp_path: Path) -> None:
    for page_count in (1, 2):
        pages = [Picture(PIXELS * np.uint16(257), SRGB, EVERYTHING) for _ in range(page_count)]
        write_picture(tmp_path / "a.tif", pages)
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            assert len(tiff.pages) == page_count
            tags = [tag.code for tag in tiff.pages.first.tags]
            assert tags == sorted(tags)
            assert {EXIF, GPS, MAKER, 700, 33723, 34675} <= set(tags)
            assert all(np.array_equal(page.asarray(), pages[0].pixels) for page in tiff.pages)


@pytest.mark.parametrize("source", [".jpg", ".gif"])
@pytest.mark.parametrize("target", [".jpg", ".gif", ".png"])
def test_a_comment_is_kept(tmp_path: Path, source: str, target: str, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(PIXELS).save(tmp_path / f"a{source}", comment="By Äda")
    write_picture(tmp_path / f"b{target}", read_picture(tmp_path / f"a{source}"))
    assert read_picture(tmp_path / f"b{target}").metadata.text == {"Comment": "By Äda"}
    assert "cannot hold" not in caplog.text


def test_a_damaged_tag_costs_itself_alone(caplog: pytest.LogCaptureFixture) -> None:
    image = Image.fromarray(PIXELS)
    image.getexif()[MAKER], image.getexif()[37384] = "A maker", 2**40  # LightSource of more than 32 bits
    kept = Image.Exif()
    kept.load(from_pil(image, name="a.jpg").metadata.exif)
    assert dict(kept) == {MAKER: "A maker"}
    assert "Some EXIF of a.jpg is damaged and left out: LightSource." in caplog.text


def test_tags_of_layout_place_and_raw_data_stay_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exif = Image.Exif()
    exif[MAKER], exif[50706], exif[340] = "A maker", bytes([1, 4, 0, 0]), 3  # DNGVersion, SMinSampleValue
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    write_picture(tmp_path / "b.tif", read_picture(tmp_path / "a.jpg"))
    assert read_picture(tmp_path / "b.tif").pixels.shape == PIXELS.shape  # and is not taken for raw data
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert 340 not in tiff.pages.first.tags
    keys = [(33550, 12, 3, (1.0, 1.0, 0.0), True), (34735, 3, 4, (1, 1, 0, 0), True)]
    tifffile.imwrite(tmp_path / "c.tif", PIXELS, photometric="rgb", metadata=None, extratags=keys)
    write_picture(tmp_path / "d.tif", read_picture(tmp_path / "c.tif"))
    assert "c.tif is georeferenced; the result is not" in caplog.text
    with tifffile.TiffFile(tmp_path / "d.tif") as tiff:
        assert 33550 not in tiff.pages.first.tags


def two_artists(path: Path, *, bigtiff: bool, byteorder: str) -> Path:
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=byteorder) as file:
        for artist in ("first", "second"):
            tags = [(ExifTags.Base.Artist, "s", 0, artist, True)]
            file.write(np.zeros((4, 5), np.uint8), extratags=tags, metadata=None)
    return path


@pytest.mark.parametrize(("bigtiff", "byteorder"), [(False, "<"), (False, ">"), (True, "<")])
def test_each_page_of_a_tiff_has_its_own_tags(tmp_path: Path, byteorder: str, bigtiff: bool) -> None:
    artists = []
    for frame in read_frames(two_artists(tmp_path / "a.tif", bigtiff=bigtiff, byteorder=byteorder)):
        exif = Image.Exif()
        exif.load(frame.metadata.exif)
        artists.append(exif[ExifTags.Base.Artist])
    assert artists == ["first", "second"]


def test_tags_that_pillow_cannot_read_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_picture(two_artists(tmp_path / "a.tif", bigtiff=True, byteorder=">"))
    assert "a.tif cannot be read and is left out: Pillow does not know big-endian BigTIFF" in caplog.text
