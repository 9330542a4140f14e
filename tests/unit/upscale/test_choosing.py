from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from prosr_lightning import DEFAULT_MODEL
from prosr_lightning.errors import ConfigError
from prosr_lightning.networks.blending import blended
from prosr_lightning.networks.weights import load_network
from prosr_lightning.pictures.reading import read_head
from prosr_lightning.released import RESTORING
from prosr_lightning.upscale import choosing
from prosr_lightning.upscale.choosing import Choice, choose_model, jpeg_quality
from prosr_lightning.upscale.upscaler import Upscaler


@pytest.fixture
def picture(tmp_path):
    def save(name: str, **settings) -> Path:
        Image.fromarray(astronaut()[:48, :64]).save(tmp_path / name, **settings)
        return tmp_path / name

    return save


def chosen(path: Path, *model: str) -> Choice:
    return choose_model(path, read_head(path), *model)


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 89, 90, 98])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(picture, quality):
    assert jpeg_quality(read_head(picture("p.jpg", quality=quality))) == quality
    assert jpeg_quality(read_head(picture("p.dat", format="JPEG", quality=quality))) == quality, "the content decides"


def test_tables_of_others_are_given_the_nearest_quality(picture):
    """Photoshop's and cameras' are no multiples of libjpeg's."""
    with Image.open(picture("p.jpg", quality=60)) as image:
        tables = {number: [step + 1 for step in table] for number, table in image.quantization.items()}
    assert 54 <= jpeg_quality(read_head(picture("q.jpg", qtables=tables))) <= 60


def test_other_files_have_no_quality(picture):
    assert jpeg_quality(read_head(picture("p.png"))) is None
    assert jpeg_quality(read_head(picture("p.webp", quality=20))) is None
    assert jpeg_quality(read_head(picture("p.tif", compression="jpeg"))) is None


@pytest.mark.parametrize(
    ("name", "quality", "model", "reason"),
    [
        ("p.jpg", 30, RESTORING, "a JPEG of quality 30"),
        ("p.jpg", 89, RESTORING, "a JPEG of quality 89"),
        ("p.jpg", 90, DEFAULT_MODEL, "a JPEG of quality 90"),
        ("p.png", 30, DEFAULT_MODEL, ""),
    ],
)
def test_auto_takes_what_the_file_asks_for(picture, name, quality, model, reason):
    choice = chosen(picture(name, quality=quality))
    assert (choice.model, choice.reason, choice.caution) == (model, reason, "")


@pytest.mark.parametrize(
    ("quality", "model", "warned"),
    [
        (74, "prosrn", True),
        (75, "prosrn", False),
        (30, "prosrgan", True),
        (30, RESTORING, False),
        (30, "runs/best.ckpt", False),
    ],
)
def test_a_name_overrules_with_a_caution_where_it_was_not_made_for_such_files(picture, quality, model, warned):
    choice = chosen(picture("p.jpg", quality=quality), model)
    assert choice.model == model
    if warned:
        assert choice.caution.endswith(
            f"p.jpg is a JPEG of quality {quality}, and {model} was trained on clean pictures: it sharpens blocks and "
            f"ringing; -n {RESTORING} was made for it."
        )
    else:
        assert choice.caution == ""


def test_without_released_weights_for_it_auto_falls_back_and_says_so(picture, monkeypatch):
    monkeypatch.setattr(choosing, "released_names", lambda: ("prosrn", DEFAULT_MODEL))
    choice = chosen(picture("p.jpg", quality=50))
    assert choice.model == DEFAULT_MODEL
    assert choice.caution.endswith("it sharpens blocks and ringing.")


@pytest.mark.parametrize("restoring", [RESTORING, "prosrn_blind"])
def test_the_strength_leads_from_the_clean_network_to_the_restoring_one(restoring):
    lr = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    ends = [load_network(name).network for name in (DEFAULT_MODEL, restoring)]
    with torch.inference_mode():
        clean, restored = (network.enlarge(lr, 2) for network in ends)
        assert torch.equal(blended(restoring, 0).enlarge(lr, 2), clean)
        assert torch.equal(blended(restoring, 1).enlarge(lr, 2), restored)
        half = blended(restoring, 0.5)
        between = half.enlarge(lr, 2)
    for key, value in half.state_dict().items():
        torch.testing.assert_close(value, (ends[0].state_dict()[key] + ends[1].state_dict()[key]) / 2)
    apart = (clean - restored).abs().mean()
    assert (between - clean).abs().mean() < apart
    assert (between - restored).abs().mean() < apart


def test_an_upscaler_takes_the_strength():
    image = np.asarray(astronaut()[:40, :40])
    weak, usual, strong = (
        Upscaler.from_pretrained(name, denoise=share, device="cpu").upscale(image, 2)
        for name, share in ((RESTORING, 0.0), (DEFAULT_MODEL, None), (RESTORING, 1.0))
    )
    assert np.array_equal(weak, usual)
    assert not np.array_equal(weak, strong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((RESTORING, 1.2), r"`denoise` must be from 0 \(keep all\) to 1 .*, got 1.2"),
        (("prosrn", 0.5), f"`denoise` blends a network for degraded pictures, such as {RESTORING}, got prosrn"),
    ],
)
def test_strengths_without_a_meaning_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        blended(*arguments)
    with pytest.raises(ConfigError, match="`denoise` needs the engine torch, got 'openvino'"):
        Upscaler.from_pretrained(RESTORING, denoise=0.5, engine="openvino")
