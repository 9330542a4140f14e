from __future__ import annotations

import dataclasses
import json
import math

import pytest

from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.runs.scores import ImageScore, RunInfo, summarise, write_results


def test_captions_say_what_was_done():
    info = RunInfo(method="bicubic", protocol=PAPER)
    assert info.caption.startswith("bicubic; protocol paper: ")
    assert "results not rounded" in info.caption
    network = RunInfo(method="ProSRN", protocol=PAPER, self_ensemble=True)
    assert "8-bit RGB" in network.caption
    assert "self-ensemble" in network.caption
    assert "bfloat16" not in network.caption
    assert "ProSRN, features in bfloat16;" in RunInfo(method="ProSRN", protocol=PAPER, bf16=True).caption


def test_summary_is_the_mean_of_images_and_is_written(tmp_path):
    one = ImageScore(dataset="A", scale=2, image="x", psnr_db=30.0, ssim=0.9, seconds=1.0)
    scores = [
        one,
        dataclasses.replace(one, image="y", psnr_db=40.0, ssim=0.7, seconds=2.0),
        dataclasses.replace(one, scale=4, psnr_db=20.0, seconds=math.nan),
    ]
    rows = summarise(scores)
    assert [(row.dataset, row.scale, row.psnr_db, row.num_images) for row in rows] == [
        ("A", 2, 35.0, 2),
        ("A", 4, 20.0, 1),
    ]
    assert rows[0].ssim == pytest.approx(0.8)
    write_results(tmp_path / "new", scores, RunInfo(method="m", protocol=PAPER, parameters=7))
    assert (tmp_path / "new" / "summary.csv").read_text().splitlines() == [
        "dataset,scale,psnr_db,ssim",
        "A,2,35.000000,0.8000000",
        "A,4,20.000000,0.9000000",
    ]
    assert (tmp_path / "new" / "per_image.csv").read_text().splitlines() == [
        "dataset,scale,image,psnr_db,ssim,seconds",
        "A,2,x,30.000000,0.9000000,1.0000",
        "A,2,y,40.000000,0.7000000,2.0000",
        "A,4,x,20.000000,0.9000000,",
    ]
    run = json.loads((tmp_path / "new" / "run.json").read_text())
    assert run["method"] == "m"
    assert run["parameters"] == 7
    assert run["protocol"]["ssim"] == "skimage"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["per_image.csv", "run.json", "summary.csv"]
