from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from kornia.enhance import jpeg_codec_differentiable
from PIL import Image
from skimage.data import astronaut

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.jpeg import jpeg
from prosr_lightning.imaging.quantisation import CHROMA, LUMA, steps

# Pillow's libjpeg computes with whole numbers, so that a few coefficients fall on the other side of a half.
GRAY_RMS, COLOR_RMS = 0.6, 0.9  # codes, of 256; the files themselves lose 1 to 10


def picture(mode: str) -> Image.Image:
    """A photograph whose sides are no multiples of a block."""
    return Image.fromarray(astronaut()).resize((203, 165), Image.Resampling.BICUBIC).convert(mode)


def tensor(image: Image.Image) -> torch.Tensor:
    pixels = np.array(image)
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)[None].float()


def pillow(image: Image.Image, quality: int) -> torch.Tensor:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    return tensor(Image.open(stream))


def rms(difference: torch.Tensor) -> float:
    return difference.double().square().mean().sqrt().item()


@pytest.mark.parametrize(("mode", "tolerance"), [("L", GRAY_RMS), ("RGB", COLOR_RMS)])
@pytest.mark.parametrize("quality", [1, 10, 30, 50, 75, 95, 100])
def test_it_is_what_pillow_writes_and_reads(mode, tolerance, quality):
    image = picture(mode)
    ours, theirs = jpeg(tensor(image), torch.tensor([quality])), pillow(image, quality)
    assert rms(ours - theirs) < tolerance
    assert abs((ours - theirs).mean().item()) < 0.1
    assert rms(theirs - tensor(image)) == pytest.approx(rms(ours - tensor(image)), rel=0.05)
    assert torch.equal(ours, ours.round().clamp(0, 255))


@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_it_is_nearer_than_kornia(quality):
    """In luma; the figures of docs/train.md."""
    image, weights = Image.fromarray(astronaut()), torch.tensor([0.299, 0.587, 0.114])
    soft = jpeg_codec_differentiable(tensor(image) / 255, torch.tensor([float(quality)])).mul(255).round()
    ours, file = jpeg(tensor(image), torch.tensor([quality])), pillow(image, quality)
    kornias_luma, our_luma = (((one - file) * weights[:, None, None]).sum(1) for one in (soft, ours))
    assert 0.85 < rms(kornias_luma) < 1.35
    assert rms(our_luma) < 0.4


def test_the_tables_are_those_of_files():
    for quality in range(1, 101):
        stream = io.BytesIO()
        picture("RGB").resize((8, 8)).save(stream, "JPEG", quality=quality)
        tables = Image.open(stream).quantization  # type: ignore[attr-defined]
        for base, table in zip((LUMA, CHROMA), tables.values(), strict=True):
            assert steps(base, np.array([quality]))[0].tolist() == list(table)


@pytest.mark.parametrize("planes", [1, 3])
def test_each_image_has_its_own_quality(planes):
    images = tensor(picture("RGB"))[:, :planes, :40, :50].repeat(3, 1, 1, 1)
    together = jpeg(images, torch.tensor([20, 60, 95]))
    for number, quality in enumerate([20, 60, 95]):
        assert torch.equal(together[number : number + 1], jpeg(images[:1], torch.tensor([quality])))


@pytest.mark.parametrize("planes", [1, 3])
def test_autocast_does_not_reach_it(planes):
    image, quality = tensor(picture("RGB"))[:, :planes], torch.tensor([95])
    expected = jpeg(image, quality)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = jpeg(image, quality)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_what_it_is_given_is_rounded_and_clamped_first():
    image, quality = tensor(picture("L")), torch.tensor([80])
    assert torch.equal(jpeg(image + 0.4, quality), jpeg(image, quality))
    assert torch.equal(
        jpeg(torch.where(image > 200, 300.0, image), quality), jpeg(torch.where(image > 200, 255.0, image), quality)
    )


@pytest.mark.parametrize(
    ("image", "quality", "message"),
    [
        (torch.zeros(1, 2, 8, 8), [50], r"`image` must be floating point \(N, 1 or 3, H, W\), got .* \(1, 2, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), [50], "`image` must be floating point"),
        (torch.zeros(1, 1, 8, 8), [0], r"`quality` must be one number from 1 to 100 for each image, got \[0\]"),
        (torch.zeros(1, 1, 8, 8), [101], "`quality` must be one number from 1 to 100"),
        (torch.zeros(2, 1, 8, 8), [50], "`quality` must be one number from 1 to 100"),
    ],
)
def test_refuses_what_it_cannot_compress(image, quality, message):
    with pytest.raises(ConfigError, match=message):
        jpeg(image, torch.tensor(quality))
