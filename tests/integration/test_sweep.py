from __future__ import annotations

import csv
import json
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf

from processes import started
from prosr_lightning import train as command
from prosr_lightning.sweep.devices import own_gpu
from prosr_lightning.train import task

WORDS = ["-m", "debug=smoke", "data=sample", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Run the command in this process and return the exit code and what it wrote to standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*words: str) -> tuple[int, str]:
        narrow = () if any(word.startswith("method=") for word in words) else ("model.generator.channels=8",)
        monkeypatch.setattr(sys, "argv", ["train", *WORDS, *narrow, *words])
        with pytest.raises(SystemExit) as ended:
            command.main()
        captured = capsys.readouterr()
        run.answered = captured.out.splitlines()
        return int(ended.value.code or 0), captured.err

    return run


def folders(where: Path) -> list[Path]:
    return sorted((where / "logs" / "smoke" / "multiruns").iterdir())


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_failed_job_is_a_row_and_a_repeated_command_runs_only_what_is_missing(sweep, tmp_path):
    code, said = sweep("depth=0,2")
    (folder,) = folders(tmp_path)
    assert code == 1
    assert "error: job 0 (depth=0): `depth` must be a whole number >= 1, got 0" in said
    assert "error: 1 of 2 jobs did not finish (0); " in said
    rows = table(folder)
    assert [row["status"] for row in rows] == ["failed", "finished"]
    assert ["depth=0" in rows[0]["overrides"], "depth=2" in rows[1]["overrides"]] == [True, True]
    assert "`depth` must be a whole number" in rows[0]["error"]
    assert 5 < float(rows[1]["val/best"]) < 60

    last = folder / "1" / "checkpoints" / "last.ckpt"
    written = last.stat().st_mtime_ns
    code, said = sweep("depth=0,2,4", "sweep.resume=true")
    assert code == 1
    assert "job 1 (depth=2): finished earlier, skipped" in said
    assert "error: job 0 (depth=0)" in said
    assert folders(tmp_path) == [folder]
    assert [row["status"] for row in table(folder)] == ["failed", "finished", "finished"]
    assert table(folder)[1]["val/best"] == rows[1]["val/best"]
    assert last.stat().st_mtime_ns == written

    code, said = sweep("depth=2", "sweep.resume=true")  # another sweep: its job 0 is not the earlier job 0
    assert code == 0
    assert "no earlier sweep of this command" in said
    assert len(folders(tmp_path)) == 2


def test_a_dry_run_says_what_would_be_done_and_does_nothing(sweep, tmp_path):
    assert sweep("depth=2,3", "sweep.dry_run=true") == (0, "")
    assert sweep.answered[:2] == ["job 0 (depth=2): begins", "job 1 (depth=3): begins"]
    assert not (tmp_path / "logs").exists()
    assert sweep("depth=2,3")[0] == 0
    (folder,) = folders(tmp_path)
    here = folder.relative_to(tmp_path)
    (folder / "1" / "record.json").unlink()  # as if it had been killed
    there = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert sweep("depth=2,3,4", "sweep.resume=true", "sweep.dry_run=true")[0] == 0
    assert sweep.answered == [
        "job 0 (depth=2): finished earlier, is skipped",
        f"job 1 (depth=3): goes on from {here}/1/checkpoints/last.ckpt",
        "job 2 (depth=4): begins",
        f"3 jobs in {here}; sweep.dry_run=true runs none of them.",
    ]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == there
    assert sweep("depth=2", "+data.holt_out=cat", "sweep.dry_run=true")[0] == 0
    assert sweep.answered[0].startswith("job 0: is refused: ")
    assert "held_out" in sweep.answered[0]


def test_a_defect_keeps_its_traceback_and_the_others_run(sweep, tmp_path, monkeypatch):
    whole = task.train

    def train(cfg):
        if cfg.depth == 3:
            raise RuntimeError("a defect")
        return whole(cfg)

    monkeypatch.setattr(task, "train", train)
    code, said = sweep("depth=3,2")
    assert code == 1
    assert "Traceback" in said
    assert [(row["status"], row["error"]) for row in table(folders(tmp_path)[0])] == [
        ("failed", "RuntimeError: a defect"),
        ("finished", ""),
    ]


def test_a_finished_job_with_another_configuration_is_not_taken_for_the_same(sweep, tmp_path):
    assert sweep("depth=2")[0] == 0
    job = folders(tmp_path)[0] / "0" / "job.json"
    content = json.loads(job.read_text())
    content["configuration"]["data"]["crop"] = 64  # as if a file in conf/ had been edited since
    job.write_text(json.dumps(content))
    code, said = sweep("depth=2", "sweep.resume=true")
    assert code == 2
    assert "The finished job 0 must have the configuration that it had, got another: data.crop was 64, is 32" in said


def test_a_folder_with_jobs_is_not_overwritten(sweep):
    assert sweep("depth=2", "hydra.sweep.dir=here")[0] == 0
    code, said = sweep("depth=2", "hydra.sweep.dir=here")
    assert (code, "got here with jobs in it; sweep.resume=true goes on" in said) == (2, True)
    code, said = sweep("depth=3", "hydra.sweep.dir=here", "sweep.resume=true")
    assert (code, "must be empty or hold a sweep of the same command" in said) == (2, True)
    code, said = sweep("depth=2", "hydra.sweep.dir=here", "sweep.resume=true", "paths.data_dir=elsewhere")
    assert (code, "finished earlier, skipped" in said) == (0, True)


def test_a_sweep_does_not_run_twice_at_the_same_time(sweep, tmp_path):
    (tmp_path / "here").mkdir()
    with FileLock(tmp_path / "here" / ".running.lock"):
        code, said = sweep("depth=2", "hydra.sweep.dir=here")
    assert (code, "must not run twice, but it is running" in said) == (2, True)


@pytest.mark.parametrize("devices", ["2", "-1", "auto", "[0,1]"])
def test_several_devices_are_refused_with_the_reason(sweep, tmp_path, devices):
    code, said = sweep("depth=2", f"trainer.devices={devices}")
    assert code == 2
    assert "A job of a sweep must use one device" in said
    assert "would start the sweep again" in said
    assert not (tmp_path / "logs").exists()


def test_a_sweep_of_devices_loses_only_the_jobs_with_several(sweep, tmp_path):
    assert sweep("trainer.devices=2,1")[0] == 1
    assert [row["status"] for row in table(folders(tmp_path)[0])] == ["failed", "finished"]


def test_a_sweep_of_several_processes_is_refused(sweep, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    code, said = sweep("depth=2")
    assert (code, "got WORLD_SIZE=4" in said) == (2, True)


def test_jobs_side_by_side_get_a_gpu_each(tmp_path, monkeypatch):
    from hydra.core.hydra_config import HydraConfig

    hydra = OmegaConf.create({"launcher": {"_target_": "JobLib.joblib"}, "job": {"num": 5}})
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    one, two, three, four = (OmegaConf.create({"trainer": {"accelerator": "gpu", "devices": 1}}) for _ in range(4))
    with own_gpu(one, tmp_path):
        with own_gpu(two, tmp_path), own_gpu(three, tmp_path):
            assert [cfg.trainer.devices for cfg in (one, two, three)] == [[0], [1], [5 % 2]]
        with own_gpu(four, tmp_path):
            assert four.trainer.devices == [1]


LONG = [
    "depth=2,3,4",
    "trainer.max_epochs=2",
    "data.patches_per_epoch=40",
    "callbacks.last.every_minutes=0.001",
]


def start_and_stop(where: Path, number: signal.Signals) -> tuple[int, str]:
    """Send a signal to a sweep when its second job has made a checkpoint."""
    environment = {"PROSR_CACHE_DIR": str(where / "cache")}
    with started(
        "train", *WORDS, "model.generator.channels=8", *LONG, folder=where, environment=environment
    ) as running:
        deadline = time.monotonic() + 120
        while not list(where.glob("logs/smoke/multiruns/*/1/checkpoints/last.ckpt")):
            assert time.monotonic() < deadline
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(number)
        finished = running.wait(timeout=60)
    return finished.returncode, finished.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_killed_in_the_middle_finishes_only_what_was_missing(sweep, tmp_path, number):
    code, said = start_and_stop(tmp_path, number)
    (folder,) = folders(tmp_path)
    kept = (folder / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    if number == signal.SIGTERM:
        assert code == 143
        assert "error: job 1 (depth=3): Training was stopped by SIGTERM" in said
        assert "sweep.resume=true goes on with it" in said
        assert [row["status"] for row in table(folder)] == ["finished", "stopped"]
    else:
        assert code == -signal.SIGKILL
        assert [row["status"] for row in table(folder)] == ["finished"]  # the second was killed before its end
    assert not (folder / "2").exists()

    code, said = sweep(*LONG, "sweep.resume=true")
    assert code == 0, said
    assert "job 0 (depth=2): finished earlier, skipped" in said
    assert f"job 1 (depth=3): goes on from {folder / '1' / 'checkpoints' / 'last.ckpt'}" in said
    assert folders(tmp_path) == [folder]
    assert [row["status"] for row in table(folder)] == ["finished"] * 3
    assert (folder / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == kept
    stored = torch.load(folder / "1" / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["prosr"]["steps_done"] == 2 * 20
    with (folder / "1" / "csv" / "metrics.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, 39)


def test_the_checkpoints_of_a_stopped_job_are_not_lost(sweep, tmp_path):
    """Neither to another configuration, nor silently where they cannot be used."""
    assert sweep("depth=2")[0] == 0
    (folder,) = folders(tmp_path)
    job, last = folder / "0", folder / "0" / "checkpoints" / "last.ckpt"
    (job / "record.json").unlink()  # as if it had been killed
    content = json.loads((job / "job.json").read_text())
    content["configuration"]["data"]["crop"] = 64
    whole = (job / "job.json").read_text()
    (job / "job.json").write_text(json.dumps(content))
    code, said = sweep("depth=2", "sweep.resume=true")
    assert (code, "The stopped job 0 must have the configuration that it had" in said) == (2, True)
    assert last.is_file()

    (job / "job.json").write_text(whole)
    last.write_bytes(last.read_bytes()[:1000])
    (job / "record.json").write_text("{")
    code, said = sweep("depth=2", "sweep.resume=true")
    assert (code, f"job 0: begins again, because {last} is damaged" in said) == (0, True)
    assert [row["status"] for row in table(folder)] == ["finished"]


def test_other_folders_for_the_jobs_are_refused(sweep, tmp_path):
    code, said = sweep("depth=2", "hydra.sweep.subdir=x")
    assert (code, "hydra.sweep.subdir must stay the number of the job" in said) == (2, True)
    assert not (tmp_path / "logs").exists()


def test_depth_of_a_method_without_it_is_refused(sweep, tmp_path):
    code, said = sweep("method=srcnn", "scale=2", "depth=2,3")
    assert code == 1
    assert "`depth` belongs to method=prosrn, got it with SRCNN" in said
    assert [row["status"] for row in table(folders(tmp_path)[0])] == ["failed"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "package"), [("joblib", "joblib_launcher"), ("submitit_local", "submitit_launcher")]
)
def test_jobs_run_side_by_side(run_module, tmp_path, launcher, package):
    pytest.importorskip(f"hydra_plugins.hydra_{package}")
    finished = run_module("train", *WORDS, "depth=2,0", f"hydra/launcher={launcher}", check=False)
    assert finished.returncode == 1, finished.stderr
    assert [row["status"] for row in table(folders(tmp_path)[0])] == ["finished", "failed"]
    again = run_module("train", *WORDS, "depth=2,0", f"hydra/launcher={launcher}", "sweep.resume=true", check=False)
    assert again.returncode == 1
    assert len(folders(tmp_path)) == 1


@pytest.mark.slow
def test_optuna_proposes_again_what_it_proposed(run_module, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = [*WORDS[1:], "hparams_search=optuna", 'hydra.sweeper.params.depth="range(2,3)"']
    run_module("train", *words, "hydra.sweeper.n_trials=2")
    (folder,) = folders(tmp_path)
    best = max(float(row["val/best"]) for row in table(folder))
    assert OmegaConf.load(folder / "optimization_results.yaml").best_value == pytest.approx(best, abs=1e-3)
    said = run_module("train", *words, "hydra.sweeper.n_trials=3", "sweep.resume=true").stderr
    assert said.count("finished earlier, skipped") == 2
    assert [row["status"] for row in table(folder)] == ["finished"] * 3


def test_slurm_jobs_get_one_device(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    from hydra import compose, initialize_config_dir

    from prosr_lightning.config import conf_dir

    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        cfg = compose("train", overrides=["hydra/launcher=slurm"], return_hydra_config=True)
    assert (cfg.hydra.launcher.gpus_per_node, cfg.hydra.launcher.tasks_per_node, cfg.hydra.launcher.nodes) == (1, 1, 1)
    assert "SlurmLauncher" in cfg.hydra.launcher._target_
