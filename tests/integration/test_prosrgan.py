"""ProSRGAN from the command line: warm start, one device, two devices, resume."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from processes import started
from prosr_lightning.config import conf_dir
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.resize import bicubic_downscale
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network
from prosr_lightning.train.panels import ValidationPanels

SAVE_RANK = """
import torch
from hydra import compose, initialize_config_dir
from lightning import Callback

class SaveRank(Callback):
    def __init__(self, *, dirpath):
        self.folder = dirpath

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        torch.save(
            {"state": pl_module.state_dict(), "lr": batch["lr"], "strategy": type(trainer.strategy).__name__},
            f"{self.folder}/rank{trainer.global_rank}_batch{batch_idx}.pt",
        )
"""


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(3)
    (tmp_path / "photographs").mkdir()
    for number in range(4):
        coarse = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)
        picture.save(tmp_path / "photographs" / f"{number}.png")
    (tmp_path / "save_rank.py").write_text(SAVE_RANK)
    return tmp_path


@pytest.fixture
def train(folder):
    def run(*overrides: str) -> subprocess.CompletedProcess[str]:
        settings = [
            "experiment=prosrgan",
            "debug=smoke",
            "data=folder",
            f"data.train_dir={folder / 'photographs'}",
            f"data.val_sets=[{folder / 'photographs'}]",
            f"paths.log_dir={folder / 'logs'}",
            f"paths.cache_dir={folder / 'cache'}",
            f"paths.data_dir={folder}",
            "model.generator.channels=4",
            "model.discriminator.channels=2",
            "trainer.enable_progress_bar=false",
        ]
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        with started("train", *settings, *overrides, folder=folder, environment={"PYTHONPATH": path}) as command:
            return command.wait(timeout=200)

    return run


def newest_run(folder: Path) -> Path:
    return max((folder / "logs" / "smoke" / "runs").iterdir(), key=lambda path: path.stat().st_mtime)


def test_starts_from_a_prosrn_saves_the_best_by_score_and_resumes(folder, train):
    generator = Generator(depth=2, channels=4)
    save_network(folder / "prosrn.safetensors", generator)
    done = train(f"init_from={folder / 'prosrn.safetensors'}", "optimizer.lr=1e-12", "model.ema_decay=0")
    assert done.returncode == 0, done.stderr
    run = newest_run(folder)
    assert (run / "panels" / "epoch_0000.png").is_file()
    stored = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    torch.testing.assert_close(stored["state_dict"]["generator.entry.weight"], generator.entry.weight.detach())
    (monitor,) = {value["monitor"] for key, value in stored["callbacks"].items() if key.startswith("ModelCheckpoint")}
    assert monitor == "val/score"

    done = train(
        f"ckpt_path={run / 'checkpoints' / 'last.ckpt'}",
        "trainer.max_epochs=2",
        "model.ema_decay=0",
        "test.benchmarks=validation",  # scored although the start is not named again
        "test.scales=[2]",
    )
    assert done.returncode == 0, done.stderr
    assert newest_run(folder) == run
    assert (run / "test" / "ProSRGAN" / "summary.csv").is_file()
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["prosr"]["steps_done"] == 8


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["init_from=prosrn"], "error: init_from must hold the architecture of this run"),  # the default, of ten layers
        (["init_from=nothing_like_it"], "error: 'nothing_like_it' must be released weights or a file"),
        (["init_from={other}"], "error: init_from must hold the architecture of this run"),
        (["model.objectiv=text"], "nearest valid key is"),
        (["trainer.gradient_clip_val=0.1"], "set model.gradient_clip_val=0.1 instead"),
    ],
)
@pytest.mark.slow
def test_says_in_one_line_what_is_wrong(folder, train, overrides, message):
    save_network(folder / "other.safetensors", Generator(depth=3, channels=4))
    done = train(*(one.format(other=folder / "other.safetensors") for one in overrides))
    assert done.returncode == 1
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error:")]
    assert message in line
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_two_processes_keep_their_parameters_equal(folder, train, norm):
    """With the strategy that the experiment sets, each process on patches of its own."""
    done = train(
        "trainer.devices=2",
        f"model.discriminator.norm={norm}",
        "callbacks.panels._target_=save_rank.SaveRank",
        f"callbacks.panels.dirpath={folder}",
    )
    assert done.returncode == 0, done.stderr
    start = None
    for batch in range(2):  # 8 patches, 2 a batch, 2 processes
        first, second = (torch.load(folder / f"rank{rank}_batch{batch}.pt") for rank in (0, 1))
        assert first["strategy"] == second["strategy"] == "DDPStrategy"
        assert not torch.equal(first["lr"], second["lr"])
        for key, value in first["state"].items():
            if not re.search(r"running_|num_batches|_u$|_v$", key):  # statistics of each process's own patches
                assert torch.equal(value, second["state"][key]), key
        if start is not None:
            for network in ("generator.entry.weight", "discriminator.to_logit.weight"):
                key = network if network in start else "discriminator.to_logit.parametrizations.weight.original"
                assert not torch.equal(start[key], first["state"][key])
        start = first["state"]
    assert not (folder / "rank0_batch2.pt").exists()


def test_panels_go_to_the_folder_and_to_weights_and_biases(tmp_path):
    class Recorder(WandbLogger):
        def __init__(self):
            self.images = []

        def log_image(self, key, images, step=None, **kwargs):
            self.images.append((key, images, step, kwargs["caption"]))

    class Module:
        val_scales = (2, 4)
        network = Generator(depth=1, channels=2)

    class Run:
        sanity_checking, is_global_zero, current_epoch = False, True, 3
        state = type("State", (), {"fn": "fit"})
        loggers = [Recorder()]  # noqa: RUF012  # a stand-in

    panels, run = ValidationPanels(dirpath=tmp_path / "panels", side=16, every=2), Run()
    for batch_idx in (0, 1, 0, 0):  # three validations, the first of two images
        hr = torch.rand(1, 1, 33, 40)
        lr = {scale: bicubic_downscale(modcrop(hr, scale), scale) for scale in Module.val_scales}
        panels.on_validation_batch_end(run, Module(), None, {"hr": hr, "lr": lr}, batch_idx)
    keys, pictures, steps, captions = zip(*run.loggers[0].images, strict=True)
    assert keys == ("val/panel/x2", "val/panel/x4") * 2
    assert set(steps) == {None}
    assert [caption.split(",")[0] for caption in captions[1]] == ["LR", "bicubic 4x", "SR 4x", "HR"]
    saved = np.asarray(Image.open(tmp_path / "panels" / "epoch_0003.png"))
    assert saved.shape[1] == 4 * (16 * 3 + 8) + 8
    for row in range(2):
        for column, picture in enumerate(pictures[2 + row]):
            top, left = 8 + row * (16 * 3 + 44 + 8), 8 + column * (16 * 3 + 8)
            assert np.array_equal(saved[top : top + 48, left : left + 48], picture)


def test_the_released_prosrn_is_the_start_that_needs_no_word(folder, train):
    """`experiment=prosrgan` alone: here with the crops and the discriminator of a smoke run, on one device."""
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        assert compose("train", overrides=["experiment=prosrgan", "trainer.devices=4"]).init_from == "prosrn"
    done = train("init_from=prosrn", "depth=10", "model.generator.channels=64", "data.patches_per_epoch=2")
    assert done.returncode == 0, done.stderr
    assert (
        "Starting from the released prosrn; init_from=FILE names other weights, init_from=null a fresh" in done.stdout
    )
