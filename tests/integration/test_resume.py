"""One run is one folder: how a run goes on, from the command line."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock

from prosr_lightning.train import task as command

LAST = Path("checkpoints") / "last.ckpt"
STEP_LR = ("~scheduler.drops", "~scheduler.factor", "+scheduler.step_size=2")
BEST = Path("checkpoints") / "best.ckpt"


def runs(where: Path) -> list[Path]:
    return sorted((where / "logs" / "smoke" / "runs").iterdir())


def record(run: Path) -> dict:
    return json.loads((run / "record.json").read_text())


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "csv" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def groups(run: Path, optimizer: int = 0) -> dict:
    return torch.load(run / LAST, weights_only=True)["optimizer_states"][optimizer]["param_groups"][0]


def test_a_run_goes_on_in_its_own_folder(main, tmp_path):
    assert main()[0] == 0
    (run,) = runs(tmp_path)
    first = record(run)
    assert main("ckpt_path=last", "trainer.max_epochs=2", "optimizer.lr=0.0001")[0] == 0
    assert runs(tmp_path) == [run]
    now = record(run)
    assert (first["steps"], first["samples"], now["steps"], now["samples"]) == (4, 8, 8, 16)
    assert now["seconds"] > first["seconds"]
    assert [int(row["step"]) for row in rows(run) if row["train/loss"]] == list(range(8))
    assert sum(bool(row["val/psnr"]) for row in rows(run)) == 2
    text = (run / "train.log").read_text()
    assert "Trained for 4 updates in all" in text
    assert "Trained for 8 updates in all" in text
    saved = yaml.safe_load((run / ".hydra" / "config.yaml").read_text())
    assert saved["trainer"]["max_epochs"] == 2
    assert saved["paths"]["output_dir"] == str(run)


def test_the_best_weights_of_the_first_part_are_not_forgotten(main, tmp_path):
    """The second part is made worse by a rate that destroys the network; here and in another folder."""
    assert main()[0] == 0
    (run,) = runs(tmp_path)
    kept, best = (run / BEST).read_bytes(), record(run)["val"]["best"]
    words = [
        "trainer.max_epochs=2",
        "optimizer.lr=0.3",
        "scheduler=null",
        "test.benchmarks=validation",
        "test.scales=[2]",
    ]
    shutil.copytree(run, tmp_path / "copy")
    assert main(f"ckpt_path={run / LAST}", *words, "hydra.run.dir=elsewhere")[0] == 0
    assert main(f"ckpt_path={run / LAST}", *words)[0] == 0
    for folder in (run, tmp_path / "elsewhere"):
        assert (folder / BEST).read_bytes() == kept
        assert record(folder)["val"]["best"] == best
        assert record(folder)["val"]["psnr"] < best - 1
        assert (record(folder)["checkpoint"], record(folder)["best_step"]) == (str(BEST), 4)
        assert [int(row["step"]) for row in rows(folder) if row["train/loss"]] == list(range(8))

    shutil.rmtree(run)  # a run that was moved as a whole
    assert main(f"ckpt_path={tmp_path / 'copy' / LAST}", *words)[0] == 0
    assert record(tmp_path / "copy")["val"]["best"] == best


def test_last_takes_the_newest_run_of_the_same_configuration(main, tmp_path):
    for seed in (0, 1):
        assert main(f"seed={seed}")[0] == 0
    zero, one = runs(tmp_path)
    assert main("ckpt_path=last", "seed=0", "trainer.max_epochs=2")[0] == 0
    assert [record(run)["steps"] for run in (zero, one)] == [8, 4]
    code, said = main("ckpt_path=last", "seed=2")
    assert code == 1
    assert "ckpt_path=last needs an earlier run of the same configuration" in said
    assert f"of the newest, seed was 0, is 2; ckpt_path={zero.relative_to(tmp_path) / LAST} goes on" in said
    assert runs(tmp_path) == [zero, one]


def test_auto_begins_where_there_is_nothing_to_go_on_with(main, tmp_path):
    code, said = main("ckpt_path=auto")
    assert (code, "ckpt_path=auto: no earlier run of this configuration" in said) == (0, True)
    (run,) = runs(tmp_path)
    assert main("ckpt_path=auto", "trainer.max_epochs=2")[0] == 0
    assert (runs(tmp_path), record(run)["steps"]) == ([run], 8)
    for epochs, steps in ((1, 4), (2, 8)):  # as a scheduler that requeues does it, in a folder of its own
        assert main("ckpt_path=auto", "hydra.run.dir=mine", "seed=7", f"trainer.max_epochs={epochs}")[0] == 0
        assert record(tmp_path / "mine")["steps"] == steps


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["optimizer.lr=1e-5"], {"lr": 1e-5 / 8}),
        (["scheduler=null"], {"lr": 1e-4}),
        (["scheduler=null", "optimizer.lr=3e-5"], {"lr": 3e-5}),
        (["scheduler.factor=1.0"], {"lr": 1e-4}),
        (["+optimizer.betas=[0.5,0.9]"], {"betas": [0.5, 0.9], "lr": 1e-4 / 8}),
        (["+optimizer.weight_decay=0.1"], {"weight_decay": 0.1}),
    ],
)
def test_changed_settings_are_applied(main, first_run, words, expected):
    """StepDecay halves the rate after each quarter of a run, so that an unchanged one ends at an eighth."""
    code, said = main(f"ckpt_path={first_run / LAST}", "trainer.max_epochs=2", *words)
    assert code == 0, said
    found = groups(first_run)
    assert {key: list(found[key]) if key == "betas" else pytest.approx(found[key]) for key in expected} == expected
    assert "Other settings than before, used from here on" in (first_run / "train.log").read_text()


def test_changed_settings_reach_both_networks_of_a_prosrgan(main, tmp_path):
    small = ["experiment=prosrgan", "model.generator.channels=4", "model.discriminator.channels=2"]
    code, said = main(*small)
    assert code == 0, said
    (run,) = runs(tmp_path)
    code, said = main(f"ckpt_path={run / LAST}", *small, "trainer.max_epochs=2", "+optimizer.betas=[0.5,0.9]")
    assert code == 0, said
    assert [list(groups(run, number)["betas"]) for number in (0, 1)] == [[0.5, 0.9]] * 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["scheduler._target_=torch.optim.lr_scheduler.StepLR", *STEP_LR],
            "such a schedule counts from its own beginning; choose the same settings, or start from its weights with "
            "init_from=",
        ),
        (["optimizer._target_=torch.optim.SGD"], "its state is that of another optimizer"),
        (["init_from=prosrn"], "a run begins once"),
        (["levels=x2_x4"], "must be of a run with the same levels"),
    ],
)
def test_what_cannot_change_is_refused_with_what_to_do_instead(main, first_run, words, expected):
    before = (first_run / "record.json").read_bytes()
    code, said = main(f"ckpt_path={first_run / LAST}", *words)
    assert (code, expected in said, "Traceback" in said) == (1, True, False), said
    assert (first_run / "record.json").read_bytes() == before


def test_another_validation_chooses_the_best_anew(main, first_run):
    best = record(first_run)["val"]["best"]
    code, said = main(f"ckpt_path={first_run / LAST}", "val_scales=[4]", "trainer.max_epochs=2")
    assert code == 0, said
    assert "the best weights are chosen anew" in (first_run / "train.log").read_text()
    assert record(first_run)["val"]["best"] < best - 1
    assert record(first_run)["best_step"] == 8


def test_two_processes_in_one_folder_are_refused(main, first_run):
    before = {path: path.read_bytes() for path in first_run.rglob("*") if path.is_file() and path.suffix != ".lock"}
    with FileLock(first_run / ".running.lock"):
        code, said = main("ckpt_path=last", "trainer.max_epochs=2")
    assert (code, f"The run in {first_run} must not run twice, but it is running" in said) == (1, True)
    assert all(path.read_bytes() == content for path, content in before.items() if path.name != "train.log")


def test_a_new_run_does_not_replace_one_that_is_there(main, first_run):
    code, said = main(f"hydra.run.dir={first_run}")
    assert (code, f"got {first_run} with checkpoints in it; ckpt_path=" in said) == (1, True)
    assert record(first_run)["steps"] == 4


def test_what_a_killed_process_left_is_tidied(main, first_run):
    half = first_run / "checkpoints" / ".last.abc123.ckpt"
    half.write_bytes(b"half")
    assert main("ckpt_path=last", "trainer.max_epochs=2")[0] == 0
    assert not half.exists()


_TRAINED: list[Path] = []  # by the first test that needs it; the others copy it to where it would be theirs


@pytest.fixture
def first_run(main, tmp_path, tmp_path_factory) -> Path:
    if not _TRAINED:
        assert main()[0] == 0
        (run,) = runs(tmp_path)
        _TRAINED.append(shutil.copytree(run, tmp_path_factory.mktemp("trained") / run.name))
        return run
    where = tmp_path / "logs" / "smoke" / "runs" / _TRAINED[0].name
    return shutil.copytree(_TRAINED[0], where)


TWICE = """
import os, signal
from lightning import Callback

class Twice(Callback):
    def __init__(self, *, batch):
        self.batch = batch

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_second_ctrl_c_is_a_stop_and_not_a_failure(main, tmp_path, monkeypatch):
    (tmp_path / "pressing.py").write_text(TWICE)
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.getsignal(signal.SIGINT)  # ignored where a shell runs the tests in the background
    code, said = main("+callbacks.press._target_=pressing.Twice", "+callbacks.press.batch=2")
    assert (code, "Traceback" in said) == (130, False), said
    (run,) = runs(tmp_path)
    assert record(run)["status"] == "stopped"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("where", ["prepare_data", "score_run"])
def test_sigterm_outside_of_the_training_leaves_a_record(main, tmp_path, monkeypatch, where):
    def stop(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)

    target = "prosr_lightning.train.task.score_run" if where == "score_run" else None
    monkeypatch.setattr(target or "prosr_lightning.data.datamodule.PatchDataModule.prepare_data", stop)
    before = signal.getsignal(signal.SIGTERM)
    code, said = main("test.benchmarks=validation", "test.scales=[2]")
    assert (code, "was stopped by SIGTERM" in said, "Traceback" in said) == (143, True, False)
    (run,) = runs(tmp_path)
    assert (record(run)["status"], record(run)["steps"]) == ("stopped", 4 if where == "score_run" else 0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_record_says_what_was_run(main, tmp_path):
    assert main("structure=residual", "depth=4")[0] == 0
    (run,) = runs(tmp_path)
    found = record(run)
    assert (found["method"], found["network"], found["levels"], found["protocol"]) == (
        "ProSRN",
        "Generator",
        [2],
        "paper",
    )
    assert (found["architecture"]["structure"], found["architecture"]["depth"]) == ("residual", 4)
    assert (found["choices"]["structure"], found["choices"]["debug"]) == ("residual", "smoke")
    assert found["command"][-1] == "depth=4"
    assert (
        found["packages"]["torch"] == torch.__version__.partition("+")[0]
        or found["packages"]["torch"] in torch.__version__
    )
    assert len(found["commit"].rstrip("+")) in (0, 40)


@pytest.mark.parametrize("reference", [command.train])
def test_the_configuration_is_not_changed_by_the_training(reference, main, monkeypatch):
    seen = []

    def train(cfg):
        before = json.dumps(cfg, default=str)
        value = reference(cfg)
        seen.append(before == json.dumps(cfg, default=str))
        return value

    monkeypatch.setattr(command, "train", train)
    assert main("scale=4", "test.scales=2")[0] == 0
    assert seen == [True]
