"""Reading and writing what people have: modes, depths, transparency, profiles, EXIF."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from prosr_lightning.errors import ImageError, StorageError
from prosr_lightning.pictures.formats import check_fits
from prosr_lightning.pictures.metadata import Metadata
from prosr_lightning.pictures.picture import Picture, in_8_bits, to_pil
from prosr_lightning.pictures.reading import from_pil, read_frames, read_picture, read_size
from prosr_lightning.pictures.writing import write_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_with(orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    exif[271] = "A maker"
    if orientation:
        exif[274] = orientation
    return exif.tobytes()


def exif_of(picture: Picture) -> Image.Exif:
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    return exif


def random_pixels(
    rng: np.random.Generator, channels: int, dtype: str = "uint16", size: tuple[int, int] = (9, 13)
) -> np.ndarray:
    if dtype == "float32":
        return rng.random((*size, channels), dtype=np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (*size, channels), dtype=dtype)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_depth_and_channel_survives_png_and_tiff(
    tmp_path: Path, rng: np.random.Generator, channels: int, dtype: str, suffix: str
) -> None:
    pixels, path = random_pixels(rng, channels, dtype), tmp_path / f"a{suffix}"
    write_picture(path, Picture(pixels, SRGB, Metadata(exif_with())))
    again = read_picture(path)
    assert again.pixels.dtype == dtype
    assert np.array_equal(again.pixels, pixels)
    assert read_size(path) == (13, 9)
    assert again.icc_profile == SRGB
    assert exif_of(again)[271] == "A maker"


def test_floating_point_tiff_survives(tmp_path: Path, rng: np.random.Generator) -> None:
    for channels in (1, 3):
        pixels = random_pixels(rng, channels, "float32")
        write_picture(tmp_path / "a.tif", Picture(pixels))
        assert np.array_equal(read_picture(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_tiff_of_every_layout(
    rng: np.random.Generator, compression: str | None, planar: str, byteorder: str, channels: int
) -> None:
    file = io.BytesIO()
    pixels = random_pixels(rng, channels)
    tifffile.imwrite(
        file,
        np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if planar == "separate" else pixels,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        byteorder=byteorder,
        extrasamples=["unassalpha"] if channels == 4 else None,
    )
    assert np.array_equal(from_pil(Image.open(file)).pixels, pixels)


def test_16_bit_tiff_written_by_libtiff_with_lzw(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = random_pixels(rng, 1)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert np.array_equal(read_picture(tmp_path / "a.tif").pixels, pixels)


def test_premultiplied_16_bit_tiff_becomes_straight(tmp_path: Path) -> None:
    pixels = np.array([[[10000, 20000, 5000, 40000], [0, 0, 0, 0]]], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    expected = [[[16384, 32768, 8192, 40000], [0, 0, 0, 0]]]  # 10000 * 65535 / 40000 = 16383.75, ...
    assert read_picture(tmp_path / "a.tif").pixels.tolist() == expected


def test_the_transparent_colour_of_a_16_bit_png_becomes_alpha(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3], [1, 2, 4]]], np.uint16)
    write_picture(tmp_path / "a.png", Picture(pixels))
    content = (tmp_path / "a.png").read_bytes()
    key = b"tRNS" + bytes([0, 1, 0, 2, 0, 3])
    key = struct.pack(">I", 6) + key + struct.pack(">I", zlib.crc32(key))
    (tmp_path / "a.png").write_bytes(content[:33] + key + content[33:])  # behind IHDR
    assert read_picture(tmp_path / "a.png").pixels[..., 3].tolist() == [[0, 65535]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("dtype", "suffix"), [("uint8", ".png"), ("uint16", ".png"), ("uint8", ".tif")])
def test_orientation_is_applied_and_reset(
    tmp_path: Path, rng: np.random.Generator, orientation: int, dtype: str, suffix: str
) -> None:
    pixels, path = random_pixels(rng, 3, dtype), tmp_path / f"a{suffix}"
    write_picture(path, Picture(pixels, metadata=Metadata(exif_with(orientation))))
    low = Image.fromarray(in_8_bits(Picture(pixels)).pixels)
    low.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(low))
    picture = read_picture(path)
    assert np.array_equal(in_8_bits(picture).pixels, expected)
    assert read_size(path) == expected.shape[1::-1]
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    assert exif[271] == "A maker"
    assert 274 not in exif


def test_exif_and_profile_of_a_jpeg_are_kept(tmp_path: Path, rng: np.random.Generator) -> None:
    write_picture(tmp_path / "a.jpg", Picture(random_pixels(rng, 3, "uint8"), SRGB, Metadata(exif_with())))
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.icc_profile == SRGB
    assert picture.metadata.exif
    assert b"A maker" in picture.metadata.exif


def test_the_layout_of_a_tiff_does_not_travel_as_exif(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "a.tif", tiffinfo={271: "A maker"})
    exif = Image.Exif()
    exif.load(read_picture(tmp_path / "a.tif").metadata.exif)
    assert dict(exif) == {271: "A maker"}


@pytest.mark.parametrize(
    ("mode", "channels", "dtype"),
    [
        ("1", 1, "uint8"),
        ("L", 1, "uint8"),
        ("LA", 2, "uint8"),
        ("P", 3, "uint8"),
        ("RGB", 3, "uint8"),
        ("RGBA", 4, "uint8"),
        ("RGBX", 3, "uint8"),
        ("CMYK", 3, "uint8"),
        ("YCbCr", 3, "uint8"),
        ("HSV", 3, "uint8"),
        ("LAB", 3, "uint8"),
        ("I;16", 1, "uint16"),
        ("F", 1, "float32"),
    ],
)
def test_every_mode_becomes_gray_or_rgb(mode: str, channels: int, dtype: str) -> None:
    picture = from_pil(Image.new(mode, (5, 4)))
    assert picture.pixels.shape == (4, 5, channels)
    assert picture.pixels.dtype == dtype


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((0, 0), 1)
    assert from_pil(image).pixels.ravel().tolist() == [255, 0]


@pytest.mark.parametrize("kind", ["P", "L", "RGB"])
def test_a_transparent_colour_becomes_alpha(kind: str) -> None:
    image = Image.new("RGB", (2, 1), (10, 20, 30))
    image.putpixel((1, 0), (200, 100, 50))
    image = image.quantize(4) if kind == "P" else image.convert(kind)
    first = image.getpixel((0, 0))
    file = io.BytesIO()
    image.save(file, "PNG", transparency=first)
    picture = from_pil(Image.open(file))
    assert picture.has_alpha
    assert picture.pixels[0, :, -1].tolist() == [0, 255]


def test_cmyk_and_lab_go_through_their_profile_and_come_out_as_srgb() -> None:
    lab = Image.merge("LAB", [Image.new("L", (1, 1), value) for value in (136, 208, 195)])  # sRGB red: L 53, a 80, b 67
    picture = from_pil(lab)
    assert np.abs(picture.pixels[0, 0].astype(int) - [255, 0, 0]).max() <= 12  # a and b are whole numbers there
    assert picture.icc_profile
    white = from_pil(Image.new("CMYK", (1, 1)))
    assert white.pixels.ravel().tolist() == [255, 255, 255]
    assert white.icc_profile


def test_a_damaged_profile_does_not_cost_the_picture(caplog: pytest.LogCaptureFixture) -> None:
    image = Image.new("CMYK", (1, 1))
    image.info["icc_profile"] = b"nonsense"
    assert from_pil(image).pixels.ravel().tolist() == [255, 255, 255]
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_of_an_animation_the_first_frame_is_taken_with_a_warning(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    arguments = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], **arguments)
    with caplog.at_level(logging.WARNING):
        picture = read_picture(tmp_path / f"a{suffix}")
    assert picture.pixels[0, 0, :3].tolist() == [255, 0, 0]
    assert "holds 2 frames" in caplog.text


def test_pixels_that_cannot_be_enlarged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="32-bit integers"):
        from_pil(Image.new("I", (2, 2)))
    with pytest.raises(ImageError, match=r"in \[0, 1\]"):
        from_pil(Image.new("F", (2, 2), 7.0))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5, 3), np.uint32), photometric="rgb")
    with pytest.raises(ImageError, match=r"8 or 16 bits"):
        read_picture(tmp_path / "a.tif")


def test_a_huge_picture_needs_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    for read in (read_picture, read_size):
        with pytest.raises(ImageError, match=r"at most 300 pixels.*--allow-huge"):
            read(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", allow_huge=True).pixels.shape == (20, 20, 1)
    assert Image.MAX_IMAGE_PIXELS == 300


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("a.jpg", (65536, 1), "JPEG holds sides of at most 65535"),
        ("a.webp", (1, 16384), "WEBP holds sides of at most 16383"),
        ("a.bmp", (60000, 60000), "BMP holds at most 4 GiB"),
        ("a.xyz", (1, 1), "must end in one of .png"),
        ("a", (1, 1), "'no suffix'"),
    ],
)
def test_formats_refuse_what_they_cannot_hold(name: str, size: tuple[int, int], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        check_fits(name, *size)


def test_transparency_is_never_lost_without_a_word(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(ImageError, match="cannot hold the transparency"):
        write_picture(tmp_path / "a.jpg", Picture(random_pixels(rng, 4, "uint8")))
    opaque = np.full((4, 5, 4), 255, np.uint8)
    write_picture(tmp_path / "a.jpg", Picture(opaque))
    assert read_picture(tmp_path / "a.jpg").pixels.shape == (4, 5, 3)


def test_depth_is_rounded_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "a.bmp", Picture(np.array([[[0, 257 * 7 + 128, 65535]]], np.uint16)))
    assert read_picture(tmp_path / "a.bmp").pixels.ravel().tolist() == [0, 7, 255]
    assert "holds 8 bits" in caplog.text


def test_nothing_is_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(StorageError, match="No space left"):
        write_picture(tmp_path / "a.png", Picture(np.zeros((2, 2, 3), np.uint8)))
    assert list(tmp_path.iterdir()) == []


def test_a_pil_image_that_is_cut_short_raises_our_error(tmp_path: Path) -> None:
    Image.effect_noise((200, 200), 60).convert("RGB").save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    with pytest.raises(ImageError, match="The image cannot be read as an image: image file is truncated"):
        from_pil(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_a_pil_result_carries_exif_with_its_own_size_and_no_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[274] = "A maker", 6
    exif.get_ifd(0x8769)[0xA002] = 13
    Image.new("RGB", (13, 9)).save(tmp_path / "a.jpg", exif=exif, dpi=(300, 300), icc_profile=SRGB)
    picture = from_pil(Image.open(tmp_path / "a.jpg"))
    result = to_pil(replace(picture, pixels=picture.pixels.repeat(2, 0).repeat(2, 1)))
    assert result.size == (18, 26)
    assert result.getexif()[271] == "A maker"
    assert 274 not in result.getexif()
    assert result.getexif().get_ifd(0x8769)[0xA002] == 18
    assert result.info["dpi"] == (300, 300)
    assert result.info["icc_profile"] == SRGB


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", ["jp2", "avif", "jxl", "ppm", "png"])
def test_more_than_8_bits_are_kept_where_pillow_would_cut_them(
    tmp_path: Path, rng: np.random.Generator, kind: str, channels: int
) -> None:
    pixels, path = random_pixels(rng, channels), tmp_path / f"a.{kind}"
    bits, step = (10, 90) if kind == "avif" else (12, 9) if kind == "jp2" else (16, 0)  # of 65535
    coded = pixels >> (16 - bits)
    if kind == "ppm":
        if channels == 4:
            pytest.skip("PPM has no alpha")
        path.write_bytes(b"P6\n13 9\n65535\n" + pixels.astype(">u2").tobytes())
    elif kind == "jxl":
        pytest.importorskip("pillow_jxl")
        path.write_bytes(imagecodecs.jpegxl_encode(coded, lossless=True))
    elif kind == "jp2":
        path.write_bytes(imagecodecs.jpeg2k_encode(coded, level=0, reversible=True, bitspersample=bits))
    elif kind == "avif":
        path.write_bytes(imagecodecs.avif_encode(coded, level=100, bitspersample=bits))
    else:
        path.write_bytes(imagecodecs.png_encode(coded))
    read = read_picture(path).pixels
    assert read.dtype == np.uint16
    assert read.shape == pixels.shape
    expected = np.rint(coded * (65535 / (2**bits - 1)))
    assert np.abs(read - expected).max() <= step


def test_an_animation_of_16_bits_is_not_read_as_one_picture(tmp_path: Path) -> None:
    frames = [Image.new("I;16", (6, 5), value) for value in (1000, 60000)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert [int(frame.pixels[0, 0, 0]) for frame in read_frames(tmp_path / "a.png")] == [1000, 60000]


def test_a_profile_is_applied_where_the_format_cannot_keep_it(tmp_path: Path) -> None:
    primaries = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # sRGB's
    linear = imagecodecs.cms_profile("rgb", gamma=1.0, whitepoint=(0.3127, 0.329, 1.0), primaries=primaries)
    write_picture(tmp_path / "a.gif", Picture(np.full((4, 4, 3), 128, np.uint8), linear))
    assert abs(int(read_picture(tmp_path / "a.gif").pixels[0, 0, 1]) - 188) <= 2  # sRGB's curve at 0.5


@pytest.mark.parametrize("suffix", [".png", ".gif", ".webp", ".avif"])
def test_pages_become_frames_of_8_bits_and_one_size(
    tmp_path: Path, rng: np.random.Generator, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [Picture(random_pixels(rng, 3), duration=40) for _ in range(2)]
    write_picture(tmp_path / f"a{suffix}", pages)
    assert [page.pixels.shape for page in read_frames(tmp_path / f"a{suffix}")] == [(9, 13, 3)] * 2
    assert "holds 8 bits" in caplog.text
    with pytest.raises(ImageError, match="frames of one size"):
        write_picture(tmp_path / f"a{suffix}", [*pages, Picture(random_pixels(rng, 3, size=(5, 5)))])
