"""TIFF of every layout: right, or refused by name; never wrong pixels without a word."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from tiff_matrix import (
    DEPTHS,
    HEIGHT,
    PHOTOMETRICS,
    WIDTH,
    Layout,
    every_three,
    layouts,
    meant,
    samples,
    unit,
    written,
)

from prosr_lightning.errors import ImageError
from prosr_lightning.pictures.reading import from_pil, read_frames, read_head, read_picture


@pytest.mark.parametrize("photometric", PHOTOMETRICS)
@pytest.mark.parametrize("all_of_them", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_layout_is_right_or_refused_by_name(tmp_path: Path, photometric: str, all_of_them: bool) -> None:
    path, right = tmp_path / "a.tif", 0
    of_this_kind = [layout for layout in layouts() if layout.photometric == photometric]
    for layout in of_this_kind if all_of_them else every_three(of_this_kind):
        stored = samples(layout)
        path.write_bytes(written(layout, stored))
        if photometric == "lab" and DEPTHS[layout.depth][1] is None:  # TIFF has no Lab in floating point
            with pytest.raises(ImageError, match="Lab of 8 or 16 bits"):
                read_picture(path)
            continue
        picture = read_picture(path)
        expected = meant(layout, stored)
        assert picture.pixels.shape == expected.shape, layout
        steps = 1.5 if photometric == "cmyk" else 0.51  # inks are brought to the full range first
        step = 0 if picture.pixels.dtype.kind == "f" else steps / np.iinfo(picture.pixels.dtype).max
        assert np.abs(unit(picture.pixels) - expected).max() <= step + 1e-6, layout
        assert picture.pixels.dtype.itemsize >= min(stored.dtype.itemsize, 4) or photometric == "palette", layout
        right += 1
    assert right >= (28 if all_of_them and photometric != "palette" else 12)


@pytest.mark.parametrize("photometric", ["gray", "rgb", "rgb and alpha"])
@pytest.mark.parametrize("depth", ["8", "16", "float"])
def test_libtiff_reads_the_same_samples(photometric: str, depth: str) -> None:
    """The files of the matrix are what they are meant to be, by a reader that shares no code with their writer."""
    for layout in layouts():
        if (layout.photometric, layout.depth) != (photometric, depth):
            continue
        stored = samples(layout)
        try:
            other = imagecodecs.tiff_decode(written(layout, stored), asrgb=False)
        except (ValueError, RuntimeError, NotImplementedError):
            continue  # libtiff is built there without some compressions
        other = other[..., None] if other.ndim == 2 else other
        other = np.moveaxis(other, 0, -1) if other.shape != stored.shape else other
        assert np.array_equal(other, stored), layout


@pytest.mark.parametrize("compression", ["group3", "group4", "packbits", "tiff_lzw", "tiff_adobe_deflate"])
def test_one_bit_that_libtiff_compressed(tmp_path: Path, compression: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).random((HEIGHT, WIDTH)) > 0.5)
    image.save(tmp_path / "a.tif", compression=compression)
    assert np.array_equal(read_picture(tmp_path / "a.tif").pixels[..., 0], np.asarray(image) * 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr"])
def test_jpeg_in_tiff(tmp_path: Path, mode: str) -> None:
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB").convert(mode)
    image.save(tmp_path / "a.tif", compression="jpeg", quality=95)
    picture = read_picture(tmp_path / "a.tif")
    expected = np.asarray(image.convert("RGB" if mode != "L" else "L")).reshape(picture.pixels.shape)
    assert np.abs(picture.pixels.astype(int) - expected).max() < 12


def test_bare_ycbcr_goes_through_libtiff(tmp_path: Path) -> None:
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
    image.convert("YCbCr").save(tmp_path / "a.tif", compression="tiff_lzw")
    assert np.abs(read_picture(tmp_path / "a.tif").pixels.astype(int) - np.asarray(image)).max() < 4


REFUSED = [
    ({"data": np.zeros((4, 5, 3), np.uint32), "photometric": "rgb"}, "32-bit uint"),
    ({"data": np.zeros((4, 5), np.int16), "photometric": "minisblack"}, "16-bit int"),
    ({"data": np.zeros((4, 5), np.complex64), "photometric": "minisblack"}, "64-bit complex"),
    ({"data": np.zeros((3, 4, 5), np.uint8), "photometric": "minisblack", "volumetric": True, "tile": (1, 16, 16)},
     "1 channels"),
    ({"data": np.zeros((4, 5, 3), np.uint16), "photometric": "separated", "extratags": [(332, 3, 1, 2, True)]}, "cmyk"),
    ({"data": np.zeros((4, 5), np.uint16), "photometric": "cfa"}, "cfa"),
    ({"data": np.zeros((4, 5, 3), np.uint8), "photometric": "rgb", "extratags": [(50706, 1, 4, b"\1\4\0\0", True)]},
     "raw data"),
    ({"data": np.zeros((4, 5, 3), np.uint8), "photometric": "rgb", "subfiletype": 1}, "raw data"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_is_not_known_to_be_read_right_is_refused(tmp_path: Path, arguments: dict, message: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", metadata=None, **arguments)
    with pytest.raises(ImageError, match=message):
        read_picture(tmp_path / "a.tif")


def test_readers_that_disagree_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    decode, first_strip = tifffile.TiffPage.asarray, np.arange(HEIGHT)[:, None, None] < 8
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda page: np.where(first_strip, decode(page), 0))
    with pytest.raises(ImageError, match="read alike by two libraries"):  # black below the first strip
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("tag", [(274, 3, 1, 9, True), (274, 3, 2, (6, 1), True), (274, 2, 0, "x", True)])
def test_an_orientation_that_makes_no_sense_is_none(tmp_path: Path, tag: tuple) -> None:
    pixels = np.random.default_rng(0).random((5, 7), np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", extratags=[tag])
    assert read_head(tmp_path / "a.tif").width == 7
    assert np.array_equal(read_picture(tmp_path / "a.tif").pixels[..., 0], pixels)


def test_every_page_is_read_and_thumbnails_are_none(tmp_path: Path) -> None:
    pages = [np.full((6, 5, 3), value, np.uint16) for value in (100, 2000, 30000)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in pages:
            file.write(page, photometric="rgb", metadata=None)
        file.write(pages[0][:2, :2], photometric="rgb", metadata=None, subfiletype=1)
    assert read_head(tmp_path / "a.tif").frames == 3
    assert all(
        np.array_equal(one.pixels, page) for one, page in zip(read_frames(tmp_path / "a.tif"), pages, strict=True)
    )
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(2)
        assert np.array_equal(from_pil(image).pixels, pages[2])


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("lost", [1, 50, 5000])
def test_a_file_that_is_cut_short_is_refused(
    tmp_path: Path, compression: str | None, planar: str, tiled: bool, lost: int
) -> None:
    layout = Layout("rgb", "8", planar, tiled, compression, "<", False)
    data = written(layout, samples(layout))
    (tmp_path / "a.tif").write_bytes(data[:-lost])
    with pytest.raises(ImageError, match=r"a\.tif (must be whole|cannot be read)"):
        read_picture(tmp_path / "a.tif")
