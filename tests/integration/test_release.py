from __future__ import annotations

import json

import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import load_network
from prosr_lightning.release import main
from prosr_lightning.release.task import release
from prosr_lightning.released import released_names
from prosr_lightning.runs.scores import ImageScore, RunInfo, write_results


@pytest.fixture
def checkpoint(tmp_path):
    network = Generator(depth=2, channels=4)
    config = {
        "seed": 3,
        "init_from": "/home/somebody/earlier.ckpt",
        "levels": [2, 4],
        "optimizer": {"lr": 5e-4},
        "data": {
            "crop": 64,
            "batch_size": 16,
            "shrink": [0.5],
            "train_dir": "/home/somebody/pictures",
            "cache_dir": "/home/somebody/cache",
        },
        "trainer": {"max_time": "00:01:00:00", "accelerator": "cpu", "default_root_dir": "/home/somebody"},
    }
    content = {
        "state_dict": {f"generator.{key}": value for key, value in network.state_dict().items()},
        "prosr": {"architecture": network.architecture, "config": config, "version": "0.1.0", "steps_done": 7},
    }
    torch.save(content, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt", network


@pytest.fixture
def scores(tmp_path):
    score = ImageScore(dataset="Set5", scale=2, image="a", psnr_db=37.12345, ssim=0.95678)
    info = RunInfo(method="mine", protocol=PAPER, source=str(tmp_path / "best.ckpt"))
    write_results(tmp_path / "scores", [score], info)
    return tmp_path / "scores"


def test_released_weights_carry_their_story_and_no_paths(tmp_path, checkpoint, scores):
    path, network = checkpoint
    released = release(path, "mine", scores=scores, training_data="a test", licence="MIT", folder=tmp_path / "out")

    loaded = load_network(released)
    lr = torch.rand(1, 1, 6, 7)
    assert torch.equal(loaded.network(lr), network(lr))
    assert loaded.metadata["updates"] == 7
    assert loaded.metadata["protocol"] == "paper"
    assert loaded.metadata["scores"] == [{"dataset": "Set5", "scale": 2, "psnr_db": 37.12345, "ssim": 0.95678}]
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert max(map(len, card.splitlines())) <= 100
    card = " ".join(card.split())
    assert "| Set5 | 2x | 37.12 / 0.9568 |" in card
    assert "batches of 16 HR crops of 64 from the photographs and copies shrunk by [0.5]" in card
    assert "Training: from earlier.ckpt, levels [2, 4]" in card
    for text in (json.dumps(loaded.metadata), card):
        assert "somebody" not in text


@pytest.mark.parametrize(
    ("node", "line"),
    [
        (
            {"_target_": "prosr_lightning.imaging.degradation.Jpeg", "quality": [30, 95], "clean": 0.2},
            "- Degradation: Jpeg(clean=0.2, quality=[30, 95]), after bicubic shrinking\n",
        ),
        (  # it shrinks by itself
            {"_target_": "prosr_lightning.imaging.blind.Blind", "interpolations": ["area"], "sigma": [0, 25]},
            "- Degradation: Blind(interpolations=['area'], sigma=[0, 25])\n",
        ),
    ],
)
def test_what_else_the_network_undoes_is_in_the_header_and_on_the_card(tmp_path, checkpoint, node, line):
    path, _ = checkpoint
    content = torch.load(path, weights_only=True)
    content["prosr"]["config"]["degradation"] = node
    torch.save(content, path)
    score = ImageScore(dataset="Kodak24", scale=2, image="a", psnr_db=30.1, ssim=0.8)
    info = RunInfo(method="mine", protocol=PAPER, source=str(path), degradation="JPEG q50")
    write_results(tmp_path / "compressed", [score], info)
    folder = tmp_path / "out"
    released = release(path, "mine", scores=tmp_path / "compressed", training_data="", licence="MIT", folder=folder)

    assert load_network(released).degradation == node
    card = (folder / "MODEL_CARD.md").read_text()
    assert line in card
    assert "- Protocol of the scores: paper, LR images by JPEG q50" in card


def test_missing_scores_are_refused_before_anything_is_written(tmp_path, checkpoint):
    with pytest.raises(ConfigError, match="summary.csv"):
        release(checkpoint[0], "mine", scores=tmp_path, training_data="", licence="MIT", folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("run.json", {"method": "bicubic", "source": None}, "must be those of .*, got those of bicubic"),
        ("run.json", {"source": "other.ckpt"}, "got those of other.ckpt"),
        ("run.json", "[1]", "summary.csv and run.json"),
        ("summary.csv", "dataset,scale,psnr_db,ssim\n", "at least one score, found none"),
        ("summary.csv", "dataset,scale,psnr_db,ssim\nSet5,2,nan,0.9\n", "finite scores"),
    ],
)
def test_scores_that_cannot_be_these_weights_are_refused(tmp_path, checkpoint, scores, file, content, expected):
    if isinstance(content, dict):
        content = json.dumps(json.loads((scores / file).read_text()) | content)
    (scores / file).write_text(content)
    with pytest.raises(ConfigError, match=expected):
        release(checkpoint[0], "mine", scores=scores, training_data="", licence="MIT", folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "Mine"])
def test_a_released_name_is_a_plain_word(tmp_path, checkpoint, scores, name):
    with pytest.raises(ConfigError, match="`name` must be"):
        release(checkpoint[0], name, scores=scores, training_data="", licence="MIT", folder=tmp_path / "out")


def test_the_command_reports_a_missing_checkpoint_in_one_line(tmp_path, scores, capsys):
    code = main([str(tmp_path / "no.ckpt"), "mine", "--scores", str(scores), "--training-data", "x"])
    assert code == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_what_ships_can_be_loaded_and_says_what_it_is():
    for name in released_names():
        metadata = load_network(name).metadata
        assert metadata["name"] == name
        assert metadata["scores"]
        assert metadata["licence"]
