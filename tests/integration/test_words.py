"""Plausible words of the command line: each works, or is refused in one line that says what to write instead."""

from __future__ import annotations

import csv
import importlib.util
import json
import os

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from prosr_lightning.errors import CheckpointError
from prosr_lightning.train.checkpoints import read_state


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["test=False"],
            "`test` must be a group of settings, got False; leave it as it is; test.benchmarks=null scores",
        ),
        (["logger=false"], "`logger` must be one of csv, many, mlflow, none, tensorboard, wandb, got 'logger=false'"),
        (["logger=null"], "`logger` must be one of csv, many, mlflow, none, tensorboard, wandb, got 'logger=null'"),
        (["recipe=xyz"], "`recipe` must be one of paper_drcn, "),
        (["experiment=null,prosrn"], "experiment=null alone leaves it out"),
        (["~model"], "must have the key 'model', but it was taken out"),
        (
            ["~scheduler"],
            "must have the key 'scheduler', but it was taken out; leave it as it is; scheduler=null keeps",
        ),
        (["~test.scales"], "`test.scales` must be there, but it was taken out"),
        (["trainer.max_time=10"], "such as 00:00:10:00, got 10"),
        (["trainer.max_steps=null"], "trainer.max_steps must have a value, got null; the default is -1"),
        (["trainer.val_check_interval=2"], "add it with +trainer.val_check_interval="),
        (["optimizer._target_=torch.optim.LBFGS", "~optimizer.fused"], "`optimizer` must step once a batch"),
        (["+callbacks.early.monitor=val/psnr"], "Another needs a class: +callbacks.early._target_="),
        (
            [
                "+callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping",
                "+callbacks.early.moniter=val/psnr",
            ],
            "must not hold the key 'moniter'; the nearest valid key is 'monitor'",
        ),
        (
            ["+logger.mine._target_=lightning.pytorch.loggers.CSVLogger", "+logger.mine.save_dri=x"],
            "must not hold the key 'save_dri'; the nearest valid key is 'save_dir'",
        ),
        (["logger=wandb", "logger.offline=true"], "the nearest valid key is 'logger.wandb.offline'"),
        (["ckpt_path=latest"], "latest must be a weights file, found nothing there; check the path"),
        (["ckpt_path="], "ckpt_path must be a checkpoint, `last` or `auto`, got nothing"),
        (["data=folder", "data.train_dir=nowhere"], "must be a folder of images, got nowhere"),
    ],
)
def test_one_line_says_what_to_write_and_nothing_is_left(main, tmp_path, words, expected):
    code, said = main(*words)
    assert code == 1, said
    assert "Traceback" not in said
    (line,) = [one for one in said.splitlines() if one.startswith("error:")]
    assert expected in line
    assert "Path(" not in line
    assert not (tmp_path / "logs").exists()


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_measure_that_cannot_be_taken_is_refused_before_the_training(main, tmp_path):
    code, said = main("test.benchmarks=validation", "test.perceptual=[lpips]", "test.scales=[2]")
    assert (code, "LPIPS needs torchvision, which is not installed" in said) == (1, True)
    assert not (tmp_path / "logs").exists()


def test_a_sweep_can_be_shown(run_module):
    shown = run_module("train", "-m", "debug=smoke", "depth=2,3", "--cfg", "job", check=False)
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    assert "error: --cfg shows one job, got -m; leave -m out and give each key one value." in shown.stderr


def test_any_callback_can_be_added(main, tmp_path):
    """One that stops the run after an epoch without any gain."""
    target = f"{EarlyStopping.__module__}.EarlyStopping"
    code, said = main(
        f"+callbacks.early={{_target_: {target}, monitor: val/psnr, mode: max, patience: 1, min_delta: 100.0}}",
        "trainer.max_epochs=9",
    )
    assert code == 0, said
    (run,) = (tmp_path / "logs" / "smoke" / "runs").iterdir()
    assert json.loads((run / "record.json").read_text())["steps"] == 8


def test_several_loggers_at_once_beside_the_csv(main, tmp_path):
    other = "+logger.other={_target_: lightning.pytorch.loggers.CSVLogger, save_dir: ${paths.output_dir}, name: other}"
    code, said = main(other)
    assert code == 0, said
    (run,) = (tmp_path / "logs" / "smoke" / "runs").iterdir()
    for path in (run / "csv" / "metrics.csv", run / "other" / "version_0" / "metrics.csv"):
        with path.open(newline="") as file:
            assert [row["val/psnr"] for row in csv.DictReader(file) if row["val/psnr"]]


def test_options_of_the_users_own_folder_are_suggested(run_module, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "seaside.yaml").write_text("# @package _global_\nseed: 7\n")
    words = ["--config-dir", "mine", "experiment=seasid", "debug=smoke"]
    finished = run_module("train", *words, check=False)
    assert "got 'seasid'; the nearest is 'seaside'" in finished.stderr


def test_a_crafted_checkpoint_is_refused(main, tmp_path):
    assert main()[0] == 0
    (path,) = tmp_path.glob("logs/smoke/runs/*/checkpoints/last.ckpt")
    for change, expected in (
        (lambda state: state.update(loops={}), "its loops.fit_loop is None"),
        (lambda state: state["prosr"].update(steps_done="4"), "its steps_done is '4'"),
        (lambda state: state.update(optimizer_states=3), "its optimizer_states is 3"),
    ):
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, tmp_path / "crafted.ckpt")
        with pytest.raises(CheckpointError, match="must hold the state of a run as training saves it"):
            read_state(tmp_path / "crafted.ckpt")
        code, said = main(f"ckpt_path={tmp_path / 'crafted.ckpt'}", "trainer.max_epochs=2")
        assert (code, expected in said, "Traceback" in said) == (1, True, False)


@pytest.mark.parametrize("group", ["recipe", "optimizer", "experiment", "hparams_search"])
def test_null_leaves_out_what_may_be_left_out(main, tmp_path, group):
    words = ["method=srcnn", "scale=2", "budget=paper", "trainer.max_epochs=-1", "trainer.max_steps=1"]
    code, said = main(*words, f"{group}=null")
    assert code == 0, said
    (path,) = tmp_path.glob("logs/**/.hydra/config.yaml")
    assert ("squared_error" in path.read_text()) == (group != "recipe")  # the loss of the recipe


def test_what_lightning_says_of_srun_is_left_out(main, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "srun"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    code, said = main("trainer.max_steps=1")
    assert code == 0, said
    assert "srun" not in said
