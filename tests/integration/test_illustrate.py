from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from prosr_lightning.evaluate.illustrate import main
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network


@pytest.fixture
def weights(tmp_path):
    save_network(tmp_path / "tiny.safetensors", Generator(depth=1, channels=2))
    return tmp_path / "tiny.safetensors"


def test_draws_a_row_for_each_scale_and_a_column_for_each_method(tmp_path, picture_folder, weights):
    arguments = ["-i", str(picture_folder / "0.png"), "-o", str(tmp_path / "out.png"), "-s", "2", "4"]
    assert main([*arguments, "-n", f"Tiny={weights}", "--window", "0", "0"]) == 0
    with Image.open(tmp_path / "out.png") as drawing:
        assert drawing.size == (4 * (80 * 3 + 8) + 8, 2 * (80 * 3 + 44 + 8) + 8)
        assert np.asarray(drawing).std() > 10


def test_lr_is_degraded_as_asked_for(tmp_path, picture_folder, weights):
    arguments = ["-i", str(picture_folder / "0.png"), "-s", "2", "-n", f"Tiny={weights}"]
    drawings = []
    for name, words in (("clean", ["bicubic"]), ("worst", ["jpeg", "quality=1"])):
        assert main([*arguments, "-o", str(tmp_path / f"{name}.png"), "--degradation", *words]) == 0
        with Image.open(tmp_path / f"{name}.png") as drawing:
            drawings.append(np.asarray(drawing).astype(float))
    lr = np.s_[8:248, 8:248]  # the first panel
    assert np.abs(drawings[0][lr] - drawings[1][lr]).mean() > 5


def test_another_program_has_a_column_of_its_own(tmp_path, picture_folder, weights):
    with Image.open(picture_folder / "0.png") as small:
        small.resize((160, 128), Image.Resampling.BICUBIC).save(tmp_path / "large.png")
    arguments = ["-i", str(tmp_path / "large.png"), "-s", "2", "-n", f"Tiny={weights}", "--window", "0", "0"]
    assert main([*arguments, "-o", str(tmp_path / "out.png"), "--peer", "lanczos"]) == 0
    with Image.open(tmp_path / "out.png") as drawing:
        panels = [np.asarray(drawing)[8:248:3, 8 + 248 * place : 248 + 248 * place : 3] for place in range(5)]
    lr = Image.fromarray(panels[0][::2, ::2])  # each of its pixels is drawn twice as large
    expected = np.asarray(lr.resize((80, 80), Image.Resampling.LANCZOS)).astype(float)
    difference = [np.abs(panel - expected)[:70, :70].max() for panel in panels]  # beyond, the crop ends and LR does not
    assert difference[1] == 0
    assert all(other > 1 for other in difference[2:])  # bicubic, the network and the original
    assert main([*arguments, "-o", str(tmp_path / "out.png"), "--peer", "lanczus"]) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["jpg"], "degradation"), (["jpeg", "quality=0"], "quality"), (["jpeg", "q=1"], "degradation.q")],
)
def test_a_degradation_that_is_none_is_one_line(tmp_path, picture_folder, weights, capsys, words, expected):
    arguments = ["-i", str(picture_folder / "0.png"), "-o", str(tmp_path / "o.png"), "-n", str(weights)]
    assert main([*arguments, "--degradation", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert re.search(expected, error)
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"-i": "missing.png"}, "missing.png"),
        ({"-n": "nothing"}, "nothing"),
        ({"-s": "1"}, "scale"),
        ({"-o": "out.txt"}, "suffix of an image format"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(tmp_path, picture_folder, weights, capsys, changes, expected):
    options = {"-i": str(picture_folder / "0.png"), "-o": str(tmp_path / "out.png"), "-s": "2", "-n": str(weights)}
    words = [word for pair in (options | changes).items() for word in pair]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert expected in error
    assert not (tmp_path / "out.png").exists()
