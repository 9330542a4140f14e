"""PNG row by row: what two other readers make of it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import imagecodecs
import numpy as np
import pytest
import skimage.data
from PIL import Image

from prosr_lightning.pictures.png import write_png
from prosr_lightning.pictures.rows import WholePicture


def encoded(pixels: np.ndarray, *, step: int, before: bytes = b"") -> bytes:
    class Stepwise(WholePicture):
        def bands(self) -> Iterator[np.ndarray]:
            return (pixels[top : top + step] for top in range(0, len(pixels), step))

    file = io.BytesIO()
    write_png(file, Stepwise(pixels), before=before)
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("step", [1, 5, 100])
def test_other_readers_see_the_pixels(channels: int, dtype: type, step: int) -> None:
    pixels = np.random.default_rng(channels).integers(0, np.iinfo(dtype).max, (37, 23, channels), dtype=dtype)
    pixels[:9] = np.iinfo(dtype).max  # sums of neighbours that a byte does not hold
    content = encoded(pixels, step=step)
    assert np.array_equal(imagecodecs.png_decode(content).reshape(pixels.shape), pixels)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        if dtype == np.uint8:
            assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_chunks_of_others_are_kept() -> None:
    frame = io.BytesIO()
    Image.new("L", (1, 1)).save(frame, "PNG", dpi=(300, 300))
    chunks = frame.getvalue()[33:]  # behind the signature and the header
    content = encoded(np.zeros((5, 7, 3), np.uint8), step=5, before=chunks[: chunks.index(b"IDAT") - 4])
    with Image.open(io.BytesIO(content)) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert (image.mode, image.size) == ("RGB", (7, 5))


def test_pixels_are_compressed_about_as_well_as_by_pillow() -> None:
    photograph, theirs = skimage.data.astronaut(), io.BytesIO()
    Image.fromarray(photograph).save(theirs, "PNG")
    assert len(encoded(photograph, step=64)) < 1.05 * len(theirs.getvalue())
