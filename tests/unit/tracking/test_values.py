from __future__ import annotations

from pathlib import Path

from prosr_lightning.networks import Generator
from prosr_lightning.runs.record import RunRecord
from prosr_lightning.tracking.values import describe_network, summary_of, without_folders


def test_a_network_is_described_by_what_runs_are_compared_by():
    network = Generator(depth=2, channels=4)
    described = describe_network(network, (2, 4))
    assert described["parameters"] == sum(one.numel() for one in network.parameters())
    assert described["name"] == "Generator"
    assert described["levels"] == "x2_x4"
    assert isinstance(described["layers"], int)


def test_values_stay_what_they_are_and_folders_go():
    config = {
        "depth": 4,
        "rate": 1e-4,
        "augment": True,
        "nothing": None,
        "levels": [2, 4],
        "test": {"benchmarks": ["Set5", "/photos/mine"]},
        "data": {"train_dir": "/disk/data/DIV2K", "cache_dir": "/disk/data", "other": Path("/elsewhere/x")},
        "start": "~/runs/best.ckpt",
        "ratio": "1/2",
        "best": {"dirpath": "/home/me/logs/run/checkpoints"},
        "paths": {"data_dir": "/disk/data", "log_dir": "/home/me/logs", "output_dir": "/home/me/logs/run"},
    }
    assert without_folders(config) == {
        "depth": 4,
        "rate": 1e-4,
        "augment": True,
        "nothing": None,
        "levels": [2, 4],
        "test": {"benchmarks": ["Set5", "mine"]},
        "data": {"train_dir": "data_dir/DIV2K", "cache_dir": "data_dir", "other": "x"},
        "start": "best.ckpt",
        "ratio": "1/2",
        "best": {"dirpath": "output_dir/checkpoints"},
    }


def test_a_summary_holds_what_is_known_by_the_names_of_a_sweep():
    record = RunRecord(
        status="finished",
        name="n",
        parameters=7,
        seconds=1.5,
        val={"best": 30.0, "psnr": 29.0},
        test={"Set5/x2/psnr": 37.0, "Set5/x2/ssim": 0.9},
    )
    assert summary_of(record) == {
        "status": "finished",
        "parameters": 7,
        "seconds": 1.5,
        "val/best": 30.0,
        "test/Set5/x2/psnr": 37.0,
        "test/Set5/x2/ssim": 0.9,
    }
