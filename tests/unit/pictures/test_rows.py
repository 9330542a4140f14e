"""TIFF row by row equals TIFF as a whole, whatever the layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from prosr_lightning.errors import ImageError
from prosr_lightning.pictures.rows import TiffRows, WholePicture, in_rows, is_big, write_page


def noise(channels: int, dtype: str, size: tuple[int, int] = (70, 45)) -> np.ndarray:
    random = np.random.default_rng(channels)
    if dtype == "float32":
        return random.random((*size, channels), dtype=np.float32)
    return random.integers(0, np.iinfo(dtype).max, (*size, channels), dtype=dtype)


def layout(channels: int) -> dict[str, Any]:
    return {
        "photometric": "rgb" if channels > 2 else "minisblack",
        "planarconfig": "contig" if channels > 1 else None,
        "extrasamples": ["unassalpha"] if channels in (2, 4) else None,
    }


def rows_of(path: Path) -> TiffRows:
    with tifffile.TiffFile(path) as tiff:
        assert in_rows(tiff.pages.first)
        return TiffRows(path, tiff.pages.first)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"rowsperstrip": 16},
        {"tile": (32, 16)},
        {"compression": "zlib", "rowsperstrip": 9},
        {"compression": "lzw", "tile": (16, 32), "predictor": True},
        {"byteorder": ">"},
        {"byteorder": ">", "compression": "zlib", "bigtiff": True},
    ],
)
def test_rows_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, dtype: str, stored: dict[str, Any]
) -> None:
    pixels = noise(channels, dtype)
    flat = pixels[..., 0] if channels == 1 else pixels
    tifffile.imwrite(tmp_path / "a.tif", flat, **layout(channels), **stored, metadata=None)
    monkeypatch.setattr("prosr_lightning.pictures.rows._BAND", 1000)
    rows = rows_of(tmp_path / "a.tif")
    assert (rows.shape, rows.dtype) == (pixels.shape, pixels.dtype)
    for _ in range(2):
        bands = list(rows.bands())
        assert np.array_equal(np.concatenate(bands), pixels)
        assert all(band.dtype.isnative for band in bands)
    assert len(bands) > 1 or "compression" in stored


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("step", [1, 13, 70])
def test_other_readers_see_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, dtype: str, step: int
) -> None:
    monkeypatch.setattr("prosr_lightning.pictures.rows._STRIP", 2000)
    pixels, path = noise(channels, dtype), tmp_path / "a.tif"

    class Stepwise(WholePicture):
        def bands(self) -> Iterator[np.ndarray]:
            return (pixels[top : top + step] for top in range(0, 70, step))

    with tifffile.TiffWriter(path, byteorder="<") as file:
        write_page(file, Stepwise(pixels), icc_profile=b"profile")
    assert np.array_equal(tifffile.imread(path).reshape(pixels.shape), pixels)
    if dtype == "uint8" or channels == 1:
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
            assert image.info["icc_profile"] == b"profile"


def test_what_4_gib_may_not_hold_is_big() -> None:
    assert not is_big([WholePicture(np.broadcast_to(np.uint8(0), (40_000, 30_000, 3)))])
    assert is_big([WholePicture(np.broadcast_to(np.uint8(0), (40_000, 40_000, 3)))])
    assert is_big([WholePicture(np.broadcast_to(np.uint16(0), (30_000, 30_000, 3)))])
    assert is_big(2 * [WholePicture(np.broadcast_to(np.uint8(0), (30_000, 30_000, 3)))])


@pytest.mark.parametrize(
    ("pixels", "stored"),
    [
        (noise(3, "uint8"), {"photometric": "rgb", "planarconfig": "separate"}),
        (noise(1, "uint8")[..., 0], {"photometric": "miniswhite"}),
        (noise(4, "uint8"), {"photometric": "separated"}),
        (noise(4, "uint8"), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        (noise(3, "uint8"), {"photometric": "rgb", "extratags": [(274, 3, 1, 6, True)]}),
        (noise(1, "uint16")[..., 0].astype(np.uint32), {"photometric": "minisblack"}),
        (noise(1, "uint8")[..., 0] > 99, {"photometric": "minisblack"}),
    ],
)
def test_layouts_that_mean_something_else_are_not_read_so(
    tmp_path: Path, pixels: np.ndarray, stored: dict[str, Any]
) -> None:
    shape = pixels if stored.get("planarconfig") != "separate" else np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", shape, metadata=None, **stored)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert not in_rows(tiff.pages.first)


@pytest.mark.parametrize("stored", [{}, {"compression": "zlib", "rowsperstrip": 10}, {"tile": (16, 16)}])
def test_a_file_cut_short_is_an_error(tmp_path: Path, stored: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(3, "uint8"), photometric="rgb", metadata=None, **stored)
    rows = rows_of(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ImageError, match=r"a\.tif"):
        list(rows.bands())


def test_floating_point_beyond_one_is_an_error(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", 2 * noise(3, "float32"), photometric="rgb", metadata=None)
    with pytest.raises(ImageError, match=r"in \[0, 1\]"):
        list(rows_of(tmp_path / "a.tif").bands())
