from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from prosr_lightning.data.benchmarks import find_dataset
from prosr_lightning.evaluate.after_training import score_run
from prosr_lightning.evaluate.running import evaluate_network
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks import Generator
from prosr_lightning.runs.scores import summarise


@pytest.fixture
def benchmark(tmp_path):
    random = np.random.default_rng(5)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", "b"):
        coarse = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        coarse.resize((96, 104), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return find_dataset(str(folder), tmp_path)


def test_writes_the_scores_of_bicubic_and_of_the_network(tmp_path, benchmark, capsys):
    network = Generator(depth=1, channels=2)
    score_run({"Mine": network}, [benchmark], [2, 4], PAPER, output_dir=tmp_path / "run", sources={"Mine": "best.ckpt"})

    for method, module in (("bicubic", None), ("Mine", network)):
        with (tmp_path / "run" / "test" / method / "summary.csv").open() as file:
            rows = list(csv.DictReader(file))
        expected = summarise(evaluate_network(module, [benchmark], [2, 4], PAPER))
        assert [float(row["psnr_db"]) for row in rows] == pytest.approx([one.psnr_db for one in expected], abs=1e-5)
    info = json.loads((tmp_path / "run" / "test" / "Mine" / "run.json").read_text())
    assert info["source"] == "best.ckpt"
    printed = capsys.readouterr().out
    assert "protocol paper" in printed
    assert "Mine" in printed
    assert "-" in printed, "an untrained network is bilinear, below bicubic, and the table says so"
    assert not (tmp_path / "run" / "comparison.png").exists()


def test_draws_a_picture_of_every_method_and_scale(tmp_path, benchmark, capsys):
    network = Generator(depth=1, channels=2)
    networks = {"Start": Generator(depth=1, channels=2), "Mine": network}
    score_run(
        networks, [benchmark], [2, 4], PAPER, output_dir=tmp_path / "run", picture=True, measures=["high_frequency"]
    )
    with Image.open(tmp_path / "run" / "comparison.png") as picture:
        assert picture.size == (5 * (80 * 3 + 8) + 8, 2 * (80 * 3 + 44 + 8) + 8)
    printed = capsys.readouterr().out
    assert "comparison.png" in printed
    assert "high_frequency" in printed
