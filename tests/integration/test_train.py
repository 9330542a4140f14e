from __future__ import annotations

import csv
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from processes import started
from prosr_lightning.config import conf_dir, user_message, validate
from prosr_lightning.errors import CheckpointError, ProSRError
from prosr_lightning.networks.weights import load_network, save_network
from prosr_lightning.released import RELEASED_FOLDER
from prosr_lightning.runs.record import read_record
from prosr_lightning.train import train
from prosr_lightning.train.checkpoints import write_portable

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))


@pytest.fixture
def smoke(tmp_path, picture_folder, monkeypatch):
    """Train in this process, tiny, and return the run folder and the score."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("PROSR_DATA_DIR", raising=False)  # whose sets would be scored

    def run(*overrides: str, name: str = "run") -> tuple[Path, float | None]:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            cfg = compose(
                "train",
                overrides=[
                    "debug=smoke",
                    "data=folder",
                    f"data.train_dir={picture_folder}",
                    f"data.val_sets=[{picture_folder}]",
                    f"paths.output_dir={tmp_path / name}",
                    "trainer.enable_progress_bar=false",
                    *overrides,
                ],
            )
        validate(cfg, "train")
        return tmp_path / name, train(cfg)

    return run


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "csv" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name != "prosrgan"])
def test_every_experiment_trains_small(smoke, experiment):
    run, score = smoke(f"experiment={experiment}")
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert 5 < score < 60
    assert any(row["train/loss"] for row in rows(run))


@pytest.mark.parametrize(
    "overrides",
    [
        ["structure=plain", "logger=none"],
        ["structure=residual", "budget=cpu"],
        ["structure=memory", "model.generator.skip_every=2", "model.detach_between_levels=true", "levels=x2_x4"],
        ["depth=4", "levels=x2_x4_x8"],
        ["model.generator.fusion=inception", "trainer.precision=bf16-mixed"],
        ["model.compile=false", "model.ema_decay=0"],
    ],
)
def test_every_switch_trains_from_the_command_line(smoke, overrides):
    _, score = smoke(*overrides)
    assert 5 < score < 60


@pytest.mark.parametrize(
    "words", [["experiment=progressive"], ["experiment=prosrgan", "model.discriminator.channels=4"]]
)
def test_levels_share_the_batches(smoke, words):
    run, _ = smoke(
        *words,
        "levels=x2_x4",
        "data.level_shares={2:0.5,4:0.5}",
        "data.patches_per_epoch=40",
        "model.generator.channels=8",
    )
    logged = [[row.get(f"train/level_{level}/content") for level in (2, 4)] for row in rows(run)]
    newest = [one for one in logged if any(one)]  # Lightning logs the newest value of each level with every batch
    assert len(newest) == 20
    changed = [[one != other for one, other in zip(*pair, strict=True)] for pair in itertools.pairwise(newest)]
    assert all(sum(one) == 1 for one in changed), "one level a batch"
    assert 4 < sum(at_2x for at_2x, _ in changed) < 16


def test_the_best_checkpoint_reproduces_its_logged_score_in_a_fresh_process(smoke, picture_folder):
    run, score = smoke("levels=x2_x4")
    code = f"""
import sys, torch
from prosr_lightning.data.validation import ValidationImages
from prosr_lightning.data.benchmarks import find_dataset
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.resize import bicubic_downscale
from prosr_lightning.metrics import psnr
from prosr_lightning.networks.weights import load_network, save_network
from prosr_lightning.released import RELEASED_FOLDER
from pathlib import Path
network = load_network({str(run / "checkpoints" / "best.ckpt")!r}).network.eval()
assert torch.load({str(run / "checkpoints" / "best.ckpt")!r}, weights_only=True)["prosr"]["config"]["depth"] == 2
sets = [find_dataset({str(picture_folder)!r}, Path("."))]
hr = ValidationImages(sets=sets, limit=1)[(0, True)]["hr"]
scores = []
with torch.no_grad():
    for scale in (2, 4):
        whole = modcrop(hr, scale)
        scores.append(psnr(network.enlarge(bicubic_downscale(whole, scale), scale), whole, border=scale).item())
print(sum(scores) / 2)
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert float(finished.stdout) == pytest.approx(score, abs=1e-3)


def test_scale_trains_every_level_up_to_it(smoke):
    run, _ = smoke("scale=8")
    config = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["prosr"]["config"]
    assert config["levels"] == config["model"]["levels"] == config["data"]["levels"] == [2, 4, 8]


def test_resume_from_last_continues_the_count(smoke):
    first, _ = smoke("task_name=again", "paths.log_dir=logs", name="logs/again/runs/1")
    second, _ = smoke("task_name=again", "paths.log_dir=logs", "ckpt_path=last", "trainer.max_epochs=3", name="two")
    stored = torch.load(second / "checkpoints" / "last.ckpt", weights_only=True)
    assert torch.load(first / "checkpoints" / "last.ckpt", weights_only=True)["prosr"]["steps_done"] == 4
    assert stored["prosr"]["steps_done"] == 12


def test_a_portable_state_goes_on_as_the_original_and_names_no_folder(smoke, tmp_path):
    first, _ = smoke(name="first")
    original, portable = first / "checkpoints" / "last.ckpt", tmp_path / "portable.ckpt"
    write_portable(original, portable)
    assert str(tmp_path) not in str(torch.load(portable, weights_only=True))

    ends = []
    for name, start in (("from_original", original), ("from_portable", portable)):
        run, _ = smoke(f"ckpt_path={start}", "trainer.max_epochs=3", name=name)
        ends.append(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
        assert (run / "checkpoints" / "best.ckpt").is_file()
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    with pytest.raises(CheckpointError, match="whole state of a run, got weights alone"):
        write_portable(RELEASED_FOLDER / "prosrn.safetensors", tmp_path / "no.ckpt")


def test_the_same_command_and_seed_give_the_same_losses(smoke):
    """Bit for bit, on a CPU: the log holds every digit of a float32."""
    logged = []
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        run, _ = smoke("data.patches_per_epoch=40", "levels=x2_x4", f"seed={seed}", name=name)
        logged.append([row["train/loss"] for row in rows(run) if row["train/loss"]])
    assert len(logged[0]) == len(set(logged[0])) == 20
    assert logged[0] == logged[1]
    assert set(logged[0]).isdisjoint(logged[2])


def test_settings_that_differ_from_those_of_the_state_are_named(smoke, caplog):
    first, _ = smoke()
    path = first / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO"):
        smoke(f"ckpt_path={path}", "data.batch_size=4", "optimizer.lr=1e-5", "trainer.max_time=00:01:00:00", name="two")
    text = caplog.text
    for expected in (
        "data.batch_size=4 (was 2)",
        "optimizer.lr=1e-05 (was",
        "trainer.max_time=00:01:00:00 counts the time",
    ):
        assert expected in text
    for place in ("output_dir", "train_dir", "ckpt_path", "default_root_dir"):
        assert f"{place}=" not in text


def test_starts_from_given_weights(smoke):
    first, _ = smoke("model.ema_decay=0")
    second, _ = smoke(
        f"init_from={first / 'checkpoints' / 'last.ckpt'}", "optimizer.lr=0", "model.ema_decay=0", "seed=9", name="two"
    )
    one, two = (load_network(run / "checkpoints" / "last.ckpt").network.state_dict() for run in (first, second))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_scores_the_best_weights_and_draws_a_picture(smoke, picture_folder, capsys):
    run, _ = smoke(f"test.benchmarks=[{picture_folder},Set5]", "test.scales=[2,4]", "test.picture=true")
    printed = capsys.readouterr().out
    assert "bicubic" in printed
    assert "ProSRN" in printed
    for method in ("bicubic", "ProSRN"):
        with (run / "test" / method / "summary.csv").open() as file:
            assert [row["scale"] for row in csv.DictReader(file)] == ["2", "4"]
    with Image.open(run / "comparison.png") as picture:
        assert picture.width > 800


def test_says_how_to_score_where_no_benchmark_is(smoke, picture_folder, caplog):
    smoke("test.benchmarks=[Set5,Set14]")
    assert caplog.text.count("Will not be scored: ") == 2
    assert "No benchmark will be scored; test.benchmarks=validation takes" in caplog.text
    caplog.clear()
    smoke(f"test.benchmarks=[{picture_folder},Set5]", "test.scales=[2]", name="two")
    assert "No benchmark will be scored" not in caplog.text


def message(smoke, *overrides, **options) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # Hydra wraps some
        smoke(*overrides, **options)
    text = user_message(caught.value)
    assert text is not None, "a user can cause this, so it must be explained"
    return text


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data.train_dir=nowhere"], "must be a folder of images, got nowhere"),
        (["data.train_dir=null"], "add data.train_dir=DIR"),
        (["depth=3", "structure=residual"], "`depth` must be even for structure=residual"),
        (["depth=0"], "`depth` must be a whole number >= 1, got 0"),
        (["ckpt_path=missing.ckpt"], "missing.ckpt"),
        (
            ["ckpt_path=last", "task_name=never"],
            "ckpt_path=last goes on with the newest run of task_name=never, found none",
        ),
        (["init_from=missing.safetensors"], "missing.safetensors"),
        (["data=div2k", "~data.train_dir", "~data.val_sets"], "python -m prosr_lightning.download div2k"),
        (["seed=-1"], "`seed` must be a whole number from 0"),
        (["seed=x"], "seed must be a whole number, got 'x'"),
        (["optimizer.lr=abc"], "optimizer.lr must be a number, got 'abc'"),
        (["optimizer.lr=-1"], "`optimizer` must have settings that torch.optim.Adam takes"),
        (["data.augment=maybe"], "data.augment must be true or false, got 'maybe'"),
        (["data.batch_size=2.5"], "data.batch_size must be a whole number, got 2.5"),
        (["trainer.max_epochs=abc"], "trainer.max_epochs must be a whole number"),
        (["model.eps=-1"], "`eps` must be positive"),
        (["test.benchmarks=[Set5]", "test.scales=[3]"], "must be a power of two >= 2, got 3"),
        (["test.benchmarks=[Set5]", "test.protocol=foo"], "protocol"),
        (["test.benchmarks=[Set5]", "test.method=bicubic"], "`test.method` must be a plain name other than bicubic"),
        (["test.benchmarks=[Set5]", "test.method=a/b"], "`test.method` must be a plain name"),
        (["test.benchmarks=[Set5]", "test.perceptual=[foo]"], "`perceptual` must be from gmsd"),
        (["data.crop=4096"], "4 of 4 training images cannot be used"),
        (["val_scales=[6]"], "must be a power of two >= 2, got 6"),
        (["val_scales=[2,2]"], "`val_scales` must hold different factors, got [2, 2]"),
        (["test.benchmarks=[Set5]", "test.scales=[2,4,2]"], "`test.scales` must hold different factors, got [2, 4, 2]"),
        (["trainer.precision=bf16-true"], "`trainer.precision` must be one of 32-true"),
        (["method=srcnn", "scale=2", "val_scales=[2,4]"], "`val_scales` must hold factors that this SRCNN can do, [2]"),
        (["test.benchmarks=[Set55]"], "The benchmark 'Set55' must be a folder in"),
        (["test.benchmarks=[Set55]"], "the nearest is Set5; known sets are Set5, Set14"),
        (
            ["trainer.max_time=00:00:01"],
            "`trainer.max_time` must be days, hours, minutes and seconds, such as 00:00:10:00",
        ),
        (["data.shrink=[0.5,0.5]"], "`shrink` must be different factors between 0 and 1, got [0.5, 0.5]"),
        (["ckpt_path="], "ckpt_path must be a checkpoint, `last` or `auto`, got nothing"),
        (
            ["experiment=prosrgan", "trainer.accumulate_grad_batches=2"],
            "two networks are trained in turn, got 2; set model.accumulate_grad_batches=2 instead",
        ),
        (
            ["experiment=prosrgan", "trainer.gradient_clip_val=0.5"],
            "two networks are trained in turn, got 0.5; set model.gradient_clip_val=0.5 instead",
        ),
    ],
)
def test_what_a_user_gets_wrong_is_explained(smoke, overrides, expected):
    if overrides[0] == "data=div2k":
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            cfg = compose("train", overrides=["debug=smoke", "paths.output_dir=out", "paths.data_dir=nowhere"])
        with pytest.raises(ProSRError, match=expected):
            train(cfg)
        return
    assert expected in message(smoke, *overrides)


def test_a_checkpoint_of_another_architecture_is_refused(smoke):
    first, _ = smoke()
    path = first / "checkpoints" / "last.ckpt"
    for key in ("ckpt_path", "init_from"):
        text = message(smoke, f"{key}={path}", "depth=4", name="two")
        assert "depth" in text
        assert "architecture" in text


def test_another_course_cannot_be_resumed(smoke):
    first, _ = smoke()
    path = first / "checkpoints" / "last.ckpt"
    text = message(smoke, f"ckpt_path={path}", "levels=x2_x4", name="two")
    assert "must be of a run with the same levels, [2, 4], got [2]" in text
    text = message(smoke, f"ckpt_path={path}", "optimizer._target_=torch.optim.SGD", name="two")
    assert "must be of a run with the same optimizer, torch.optim.SGD, got torch.optim.Adam" in text


def test_what_cannot_be_resumed_says_so(smoke):
    first, _ = smoke()
    path = first / "checkpoints" / "last.ckpt"
    assert "model.ema_decay=0.999" in message(smoke, f"ckpt_path={path}", "model.ema_decay=0", name="two")
    weights = first / "weights.safetensors"
    save_network(weights, load_network(path).network)
    assert "init_from=" in message(smoke, f"ckpt_path={weights}", name="three")


def test_a_full_disk_keeps_the_checkpoint_that_was_there(smoke, monkeypatch):
    """The first save succeeds, every later one finds the disk full: half a file is never left."""
    original = os.fsync
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert "cannot be written: No space left on device; free space" in message(smoke, "trainer.max_epochs=4")
    (folder,) = (Path.cwd() / "run").glob("checkpoints")
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt"}
    for path in folder.iterdir():
        load_network(path)


def test_an_experiment_without_its_package_line_is_refused(run_module, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "wrong.yaml").write_text("seed: 7\n")
    finished = run_module("train", "--config-dir", "mine", "experiment=wrong", "debug=smoke", check=False)
    assert finished.returncode == 1
    assert "must begin with the line `# @package _global_`" in finished.stderr


@pytest.mark.parametrize("overrides", [["levels=2"], ["budget=null"], ["paths.log_dir=/proc/x"]])
def test_wrong_groups_and_places_are_one_line(run_module, overrides):
    finished = run_module("train", "debug=smoke", *overrides, check=False)
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    assert finished.stderr.count("error:") == 1


def test_unreadable_images_are_all_named(smoke, picture_folder):
    (picture_folder / "text.png").write_text("not a picture")
    Image.fromarray(np.zeros((3, 3, 3), dtype=np.uint8)).save(picture_folder / "tiny.png")
    text = message(smoke, "data.val_sets=[]")
    assert "text.png" in text
    assert "tiny.png" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scale=3"], "`scale` must be a power of two >= 2, got 3"),
        (["dpeth=4"], "the nearest valid key is 'depth'"),
        (["levels=[2,3]"], "`levels` must be one of x2, x2_x4, x2_x4_x8, got 'levels=[2,3]'"),
    ],
)
def test_the_command_prints_one_line_and_exits_with_1(run_module, arguments, expected):
    finished = run_module("train", "debug=smoke", *arguments, check=False)
    assert finished.returncode == 1
    assert expected in finished.stderr
    assert "Traceback" not in finished.stderr + finished.stdout
    assert len([line for line in finished.stderr.splitlines() if line.startswith("error:")]) == 1


def test_a_mistyped_key_in_an_experiment_file_is_found(run_module, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "wrong.yaml").write_text("# @package _global_\nmodel:\n  ema_dcay: 0.9\n")
    finished = run_module("train", "--config-dir", "mine", "experiment=wrong", "debug=smoke", check=False)
    assert finished.returncode == 1
    assert "'ema_dcay'; the nearest valid key is 'ema_decay'" in finished.stderr
    assert "Traceback" not in finished.stderr


SMALL_RUN = ["debug=smoke", "data=folder", "trainer.enable_progress_bar=false"]


@pytest.mark.parametrize("name", sorted(path.stem for path in (conf_dir() / "debug").glob("*.yaml")))
def test_every_debug_option_runs_from_the_command_line(run_module, tmp_path, name):
    small = ["depth=2", "data.crop=32", "data.batch_size=2", "data.num_workers=0", "data.patches_per_epoch=80"]
    words = [f"debug={name}", "data=sample", "trainer=cpu", *small, "trainer.max_epochs=2", "hydra.run.dir=run"]
    finished = run_module("train", *words, "optimizer.lr=0", "trainer.enable_progress_bar=false")
    assert "No recipe" not in finished.stdout
    losses = [row["train/loss"] for row in rows(tmp_path / "run") if row["train/loss"]]
    if name == "overfit":
        assert len(losses) == 2, "one batch an epoch"
        assert losses[0] == losses[1], "the same batch, by weights that stand still"
    if name == "profiler":
        (table,) = (tmp_path / "run").glob("*profile*.txt")
        for text in (table.read_text(), finished.stdout):
            assert "run_training_batch" in text
            assert "Num calls" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_command_leaves_a_checkpoint_to_go_on_from(tmp_path, picture_folder, number):
    arguments = [*SMALL_RUN, f"data.train_dir={picture_folder}", "hydra.run.dir=run", "data.patches_per_epoch=1000000"]
    environment = {"PROSR_CACHE_DIR": str(tmp_path / "cache")}
    metrics = tmp_path / "run" / "csv" / "metrics.csv"
    with started("train", *arguments, folder=tmp_path, environment=environment) as command:
        deadline = time.monotonic() + 120
        while not (metrics.is_file() and metrics.stat().st_size > 100) and time.monotonic() < deadline:
            time.sleep(0.1)
        command.send_signal(number)
        finished = command.wait(timeout=60)
    errors = finished.stderr

    assert finished.returncode == 128 + number, errors
    assert f"stopped by {signal.Signals(number).name}" in errors
    assert "Traceback" not in errors
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    steps = torch.load(path, weights_only=True)["prosr"]["steps_done"]
    assert steps > 0
    assert read_record(tmp_path / "run").samples == 2 * steps, "the batch after which it stopped counts"
    load_network(path)


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, picture_folder):
    """The limit on file size stands in for the disk: the first checkpoint fits, a larger one does not."""
    words = [*SMALL_RUN, f"data.train_dir={picture_folder}", "hydra.run.dir=run", "model.generator.channels=32"]
    environment = {"PROSR_CACHE_DIR": str(tmp_path / "cache")}
    with started("train", *words, folder=tmp_path, environment=environment, largest_file=60_000) as command:
        finished = command.wait(timeout=200)
    assert finished.returncode == 1, finished.stderr
    assert "last.ckpt cannot be written: File too large; free space" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list((tmp_path / "run" / "checkpoints").glob("*")) == []


@pytest.mark.slow
def test_two_processes_train_into_one_run_folder(run_module, tmp_path, picture_folder):
    arguments = [*SMALL_RUN, f"data.train_dir={picture_folder}", "trainer.devices=2", "data.val_limit=3"]
    run_module("train", *arguments, "model.ema_decay=0")
    runs = list((tmp_path / "logs" / "smoke" / "runs").iterdir())
    assert len(runs) == 1
    stored = torch.load(runs[0] / "checkpoints" / "last.ckpt", weights_only=True)["prosr"]
    assert stored["steps_done"] == 2  # 8 patches in batches of 2 on 2 devices


@pytest.mark.slow
def test_a_multirun_sweeps_depth(run_module, tmp_path, picture_folder):
    run_module("train", "-m", *SMALL_RUN, f"data.train_dir={picture_folder}", "depth=2,4")
    jobs = sorted((tmp_path / "logs" / "smoke" / "multiruns").glob("*/[01]/checkpoints/best.ckpt"))
    assert [load_network(job).network.depth for job in jobs] == [2, 4]


@pytest.mark.slow
def test_the_wheel_works_from_another_directory(tmp_path):
    repository = conf_dir().parent
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    subprocess.run([*build, str(repository)], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    finished = subprocess.run(
        [sys.executable, "-m", "prosr_lightning.train", "experiment=demo", "--cfg", "job"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "task_name: demo" in finished.stdout
    where = subprocess.run(
        [sys.executable, "-c", "import prosr_lightning.config as c; print(c.conf_dir())"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(target) in where.stdout
