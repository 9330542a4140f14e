from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image
from wandb_files import read_runs

from prosr_lightning.config import conf_dir, validate
from prosr_lightning.errors import ConfigError, TrainingError
from prosr_lightning.runs.record import RunRecord
from prosr_lightning.tracking import Identity, WeightsAndBiases, dashboard, finished, summarise
from prosr_lightning.train import train

SMALL = ["debug=smoke", "trainer=cpu", "trainer.enable_progress_bar=false", "model.generator.channels=8"]
OLD_PYDANTIC = pytest.mark.filterwarnings("ignore:Pydantic V1 style")  # wandb-workspaces 0.4


@pytest.fixture
def nobody(tmp_path, monkeypatch) -> dict[str, str]:
    """The environment of somebody without an account, whose files go into the test's folder."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    kept = {key: str(tmp_path / "home") for key in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")}
    environment = kept | {"NETRC": str(tmp_path / "netrc")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def tracked(tmp_path, picture_folder, monkeypatch, nobody):
    """Train in this process, tiny and offline, and return the run folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "cache"))

    def run(*overrides: str, name: str = "run") -> Path:
        words = [*SMALL, "logger=wandb", "logger.wandb.offline=true", f"paths.output_dir={tmp_path / name}"]
        words += ["data=folder", f"data.train_dir={picture_folder}", f"data.val_sets=[{picture_folder}]", *overrides]
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            cfg = compose("train", overrides=words)
        validate(cfg, "train")
        with finished():
            train(cfg)
        return tmp_path / name

    return run


def test_each_job_of_a_sweep_leaves_a_run(run_module, tmp_path, nobody):
    words = [*SMALL, "data=sample", "logger=wandb", "logger.wandb.log_model=true", "levels=x2_x4"]
    words += ["test.benchmarks=validation", "test.method=ProSRN", "test.scales=[2]", "data.patches_per_epoch=4"]
    done = run_module("train", "-m", *words, "depth=1,2", **nobody)
    assert done.stdout.count("No account of Weights & Biases is configured: logging offline. `wandb login`, then") == 2

    (sweep,) = (tmp_path / "logs" / "smoke" / "multiruns").iterdir()
    runs = [one for number in range(2) for one in read_runs(sweep / str(number))]
    assert len({one.run.run_id for one in runs}) == len(runs) == 2
    assert [one.exit_code for one in runs] == [0, 0]
    assert [one.config["depth"] for one in runs] == [1, 2]
    assert len({one.run.display_name for one in runs}) == 2
    for one in runs:
        assert one.run.project == "prosr_lightning"
        assert one.run.run_group == f"smoke-{sweep.name}"
        assert one.run.job_type == "train"
        assert {"prosrn", "memory", "paper", "x2_x4"} <= set(one.run.tags)
        _holds_what_is_promised(one)
        _has_the_checkpoint(one)
        assert str(tmp_path) not in json.dumps(one.config)
    sizes = [one.config["network"]["parameters"] for one in runs]
    assert sizes[0] < sizes[1]


def _holds_what_is_promised(one) -> None:
    assert one.config["model"]["generator"]["structure"] == "memory"
    assert one.config["levels"] == [2, 4]
    assert one.config["optimizer"]["lr"] == 1e-4
    assert one.config["network"]["levels"] == "x2_x4"
    assert "paths" not in one.config

    (axis,) = (metric for metric in one.metrics if metric.glob_name == "*")
    assert axis.step_metric == "steps"
    for name in ("train/loss", "train/level_4/content", "train/gradient_norm", "train/samples_per_second"):
        assert [steps for steps, _ in one.column(name)] == [1, 2], name
        assert all(value > 0 for _, value in one.column(name)), name
    assert [steps for steps, _ in one.column("val/psnr")] == [2]
    assert 5 < one.summary["val/best"] < 60
    assert one.summary["parameters"] == one.config["network"]["parameters"]
    scores = [value for key, value in one.summary.items() if re.fullmatch(r"test/.+/x2/psnr", key)]
    assert len(scores) == 1
    assert 5 < scores[0] < 60

    for scale in (2, 4):
        ((steps, panel),) = one.column(f"val/panel/x{scale}")
        assert steps == 2
        assert [re.sub(r"-?\d+\.\d+", "N", caption) for caption in panel["captions"]] == [
            f"LR, {scale}x smaller",
            f"bicubic {scale}x, N dB",
            f"SR {scale}x, N dB",
            "HR",
        ]
        pictures = [np.asarray(Image.open(one.folder / "files" / name)) for name in panel["filenames"]]
        assert [picture.shape for picture in pictures] == [(288, 288, 3)] * 4
        differences = [float(np.abs(picture.astype(float) - pictures[3]).mean()) for picture in pictures]
        assert differences[0] > differences[1] > differences[3] == 0


def _has_the_checkpoint(one) -> None:
    (artifact,) = one.artifacts
    assert (artifact.type, artifact.name) == ("model", f"model-{one.run.run_id}")
    assert set(artifact.aliases) == {"best", "latest"}
    metadata = json.loads(artifact.metadata)
    assert metadata["val/best"] == one.summary["val/best"]
    assert metadata["parameters"] == one.config["network"]["parameters"]
    assert metadata["levels"] == [2, 4]
    (content,) = artifact.manifest.contents
    assert content.path == "model.ckpt"
    best = one.folder.parents[1] / "checkpoints" / "best.ckpt"
    assert Path(content.local_path).read_bytes() == best.read_bytes()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_prosrn_and_prosrgan_share_an_axis(tracked, accumulate):
    """Two updates a batch are one step, and batches that are gathered into one update are one step, of both."""
    plain = tracked(f"trainer.accumulate_grad_batches={accumulate}", "trainer.max_epochs=2", "levels=x2_x4")
    adversarial = tracked(
        "experiment=prosrgan",
        f"model.accumulate_grad_batches={accumulate}",
        "model.discriminator.channels=4",
        "trainer.max_epochs=2",
        name="gan",
    )
    (one,), (other,) = read_runs(plain), read_runs(adversarial)
    updates = [4 // accumulate, 8 // accumulate]
    assert [steps for steps, _ in one.column("val/psnr")] == updates
    assert [steps for steps, _ in other.column("val/psnr")] == updates
    for run, loss in ((one, "train/loss"), (other, "train/g_loss")):
        assert [steps for steps, _ in run.column(loss)][-1] == updates[-1]
        assert [steps for steps, _ in run.column("train/gradient_norm")][-1] == updates[-1]
        assert all(isinstance(row.get("steps"), int) for row in run.history)
    assert all(value > 0 for _, value in other.column("train/d_gradient_norm"))
    assert other.config["network"]["name"] == "Generator"


def test_a_resumed_run_goes_on_in_the_same_run(tracked):
    first = tracked("logger.wandb.name=mine")
    second = tracked(f"ckpt_path={first / 'checkpoints' / 'last.ckpt'}", "trainer.max_epochs=2", name="two")
    fresh = tracked(f"init_from={first / 'checkpoints' / 'last.ckpt'}", name="three")
    (one,), (other,), (another,) = read_runs(first), read_runs(second), read_runs(fresh)
    assert other.run.run_id == one.run.run_id
    assert another.run.run_id != one.run.run_id
    assert (one.run.display_name, other.run.display_name) == ("mine", "")
    assert one.run.resume
    assert [steps for steps, _ in one.column("train/loss")] == [1, 2, 3, 4]
    assert [steps for steps, _ in other.column("train/loss")] == [5, 6, 7, 8]


def test_a_failed_run_is_ended_as_failed(tracked, tmp_path):
    with pytest.raises(TrainingError):
        tracked("optimizer.lr=1e30", "trainer.max_epochs=4", "logger.wandb.tags=[mine]", "logger.wandb.group=theirs")
    (one,) = read_runs(tmp_path / "run")
    assert one.exit_code == 1
    assert list(one.run.tags) == ["mine"]
    assert one.run.run_group == "theirs"


def test_histograms_are_drawn_where_asked_for(tracked):
    (one,) = read_runs(tracked("logger.wandb.watch=all", "trainer.log_every_n_steps=1", "data.patches_per_epoch=210"))
    drawn = {key.partition("/")[0] for row in one.history for key in row if key.partition(".")[0] != key}
    assert drawn == {"gradients", "parameters"}


IMPORTED = """
import sys
from pathlib import Path
from lightning import Callback

class Imported(Callback):
    def teardown(self, trainer, pl_module, stage):
        Path("imported").write_text(" ".join(sys.modules))
"""


def test_other_loggers_do_not_import_it(run_module, tmp_path, picture_folder):
    (tmp_path / "imported.py").write_text(IMPORTED)
    words = [*SMALL, "data=folder", f"data.train_dir={picture_folder}", "+callbacks.seen._target_=imported.Imported"]
    run_module("train", *words)
    imported = (tmp_path / "imported").read_text().split()
    assert "prosr_lightning.train" in imported
    assert "wandb" not in imported
    (log,) = tmp_path.glob("logs/smoke/runs/*/csv/metrics.csv")
    columns = log.read_text().partition("\n")[0].split(",")
    assert {"train/gradient_norm", "train/samples_per_second", "val/psnr", "step"} <= set(columns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"watch": "weights"}, "`watch` must be one of gradients, parameters, all or null, got 'weights'"),
        ({"log_model": "all"}, "`log_model` must be true or false, got 'all'"),
    ],
)
def test_refuses_what_it_does_not_know(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        WeightsAndBiases(save_dir=tmp_path, **changes)


def test_names_may_be_numbers_and_a_tag_may_stand_alone(tmp_path, nobody):
    logger = WeightsAndBiases(save_dir=tmp_path, offline=True, name=3, group=4, tags="mine")
    with finished():
        _ = logger.experiment
    (one,) = read_runs(tmp_path)
    assert (one.run.display_name, one.run.run_group, list(one.run.tags)) == ("3", "4", ["mine"])


def test_settings_that_wandb_refuses_are_one_line(tmp_path, nobody):
    pytest.importorskip("wandb")
    with pytest.raises(ConfigError, match=r"logger\.wandb\.\* must be settings that wandb takes, got: "):
        _ = WeightsAndBiases(save_dir=tmp_path, offline=True, project="a/b c").experiment


def test_a_mistyped_key_is_found():
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        cfg = compose("train", overrides=["logger=wandb", "+logger.wandb.offlin=true", "paths.output_dir=x"])
    with pytest.raises(ConfigError, match="the nearest valid key is 'offline'"):
        validate(cfg, "train")


def test_a_server_that_does_not_answer_is_one_line(tmp_path, nobody, monkeypatch):
    wandb = pytest.importorskip("wandb")

    def fail(**settings):
        raise wandb.errors.CommError("no answer")

    monkeypatch.setattr(wandb, "init", fail)
    logger = WeightsAndBiases(save_dir=tmp_path, offline=True)
    with pytest.raises(
        ConfigError, match=r"got: no answer; logger\.wandb\.offline=true logs into the run folder instead"
    ):
        _ = logger.experiment


def test_a_training_goes_on_where_its_log_is_gone(tracked, monkeypatch, caplog):
    wandb = pytest.importorskip("wandb")

    def gone(*arguments, **settings):
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(wandb.Run, "log", gone)
    with caplog.at_level(logging.WARNING):
        run = tracked("callbacks.panels=null")
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert caplog.text.count("takes no more of this run, which goes on without it: ConnectionResetError") == 1


def test_the_scores_reach_the_summary(tmp_path, nobody, caplog):
    """And a run that was stopped leaves no artifact, though one was asked for."""
    logger = WeightsAndBiases(save_dir=tmp_path, log_model=True)
    logger.describe(Identity(name="memory-d10-x2", group="depths", tags=("memory",)), continued=None)
    record = RunRecord(status="stopped", name="n", test={"Set5/x2/psnr": 37.5}, cpu_seconds=2.0, checkpoint="best.ckpt")
    with caplog.at_level(logging.WARNING), finished():
        summarise(logger, record, tmp_path)
    (one,) = read_runs(tmp_path)
    assert one.summary["test/Set5/x2/psnr"] == 37.5
    assert one.summary["cpu_seconds"] == 2.0
    assert one.summary["status"] == "stopped"
    assert (one.run.display_name, one.run.run_group, one.artifacts) == ("memory-d10-x2", "depths", [])
    assert "logging offline" in caplog.text


def keys_of(node, name):
    """Return every value of a key in nested plain values."""
    if isinstance(node, dict):
        found = [node[name]] if name in node else []
        return found + [one for value in node.values() for one in keys_of(value, name)]
    return [one for value in node for one in keys_of(value, name)] if isinstance(node, list) else []


@OLD_PYDANTIC
def test_the_dashboard_is_specified_without_network(capsys, monkeypatch, nobody):
    pytest.importorskip("wandb_workspaces")

    def refuse(*arguments):
        raise AssertionError("a dry run must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert dashboard.main(["me/study", "--dry-run", "--name", "Depths"]) == 0
    pages = json.loads(capsys.readouterr().out)
    assert pages["workspace"]["displayName"] == pages["report"]["displayName"] == "Depths"
    assert (pages["workspace"]["entity"], pages["workspace"]["project"]) == ("me", "study")
    for page in pages.values():
        grouped = ["model.value.generator.depth", "model.value.generator.structure", "network.value.levels"]
        assert set(grouped) <= set(keys_of(page, "groupBy"))
        assert "config:network.value.parameters" in keys_of(page, "xAxis")
        assert "steps" in keys_of(page, "xAxis")
        assert {"summary:test/Set5/x2/psnr", "summary:val/best"} <= set(keys_of(page, "yAxis"))
        assert ["val/panel/x2"] in keys_of(page, "mediaKeys")
        assert any("summary:test/Set5/x4/psnr" in columns for columns in keys_of(page, "columnOrder"))


@OLD_PYDANTIC
@pytest.mark.parametrize(
    ("arguments", "hidden", "message"),
    [
        (["study"], [], "The project must be ENTITY/PROJECT, got 'study'"),
        (["me/study"], [], "needs an account of Weights & Biases, got none; run `wandb login` first"),
        (["me/study", "--dry-run"], ["wandb_workspaces"], r"pip install 'prosr-lightning\[dashboard\]'"),
    ],
)
def test_what_the_dashboard_lacks_is_one_line(capsys, monkeypatch, nobody, arguments, hidden, message):
    if not hidden:
        pytest.importorskip("wandb_workspaces")
    for name in [one for one in sys.modules if one.partition(".")[0] in hidden] + hidden:
        monkeypatch.setitem(sys.modules, name, None)
    assert dashboard.main(arguments) == 1
    assert re.search(message, capsys.readouterr().err)
