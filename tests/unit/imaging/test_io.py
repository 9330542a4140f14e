from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from prosr_lightning.errors import ImageError, StorageError
from prosr_lightning.imaging.io import atomic_path, read_rgb, write_rgb

RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def write_png16(path, samples, color_type):
    """Write a 16-bit PNG by hand; Pillow writes only gray ones."""
    height, width = samples.shape[:2]

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_reads_rgb_of_any_size(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert np.array_equal(read_rgb(tmp_path / "a.png"), RGB)
    Image.fromarray(RGB[:1, :1]).save(tmp_path / "b.bmp")
    assert read_rgb(str(tmp_path / "b.bmp")).tolist() == [[[0, 1, 2]]]


def test_gray_counts_as_equal_channels(tmp_path):
    Image.fromarray(RGB[..., 0]).save(tmp_path / "gray.png")
    assert np.array_equal(read_rgb(tmp_path / "gray.png"), np.repeat(RGB[..., :1], 3, axis=2))
    Image.fromarray(RGB[..., 0]).convert("1").save(tmp_path / "bits.png")
    assert set(read_rgb(tmp_path / "bits.png").flatten().tolist()) <= {0, 255}


def test_palette_is_resolved(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")
    assert read_rgb(tmp_path / "palette.png").tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_opaque_alpha_is_dropped_and_real_transparency_refused(tmp_path):
    opaque = np.dstack([RGB, np.full((4, 6), 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    assert np.array_equal(read_rgb(tmp_path / "opaque.png"), RGB)
    opaque[0, 0, 3] = 254
    Image.fromarray(opaque).save(tmp_path / "glass.png")
    with pytest.raises(ImageError, match=r"glass\.png must be opaque"):
        read_rgb(tmp_path / "glass.png")


@pytest.mark.parametrize(("color_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_are_refused(tmp_path, color_type, channels):
    samples = np.full((3, 3, channels), 65535)
    write_png16(tmp_path / "deep.png", samples, color_type)
    with pytest.raises(ImageError, match=r"deep\.png must have 8 bits a channel"):
        read_rgb(tmp_path / "deep.png")


@pytest.mark.parametrize(("mode", "name"), [("CMYK", "a.tif"), ("CMYK", "a.jpg"), ("LAB", "a.tif"), ("F", "a.tif")])
def test_other_colour_spaces_are_refused(tmp_path, mode, name):
    Image.new(mode, (4, 4)).save(tmp_path / name)
    with pytest.raises(ImageError, match=rf"{name} must .*{mode}; convert it"):
        read_rgb(tmp_path / name)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to view
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_rgb(tmp_path / "turned.png"), np.rot90(RGB, -1))


def test_missing_empty_truncated_and_foreign_files_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png must be an image file, found nothing"):
        read_rgb(tmp_path / "gone.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    for name in ("empty.png", "text.png", "cut.png"):
        with pytest.raises(ImageError, match=f"{name} cannot be read as an image"):
            read_rgb(tmp_path / name)


def test_write_and_read_back(tmp_path):
    path = tmp_path / "new" / "deep" / "a.png"
    write_rgb(path, RGB)
    assert np.array_equal(read_rgb(path), RGB)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"a\.png cannot be written"):
        write_rgb(tmp_path / "file" / "a.png", RGB)
