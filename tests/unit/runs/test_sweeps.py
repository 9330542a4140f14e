from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from torch import nn

from prosr_lightning.errors import DataError
from prosr_lightning.imaging.io import write_json
from prosr_lightning.networks import Generator, LapSRN, SubPixelGenerator
from prosr_lightning.runs import folder as run_folder
from prosr_lightning.runs import sweeps
from prosr_lightning.runs.record import RunRecord, write_record
from prosr_lightning.sweep.resuming import configuration_of, difference, swept_keys
from prosr_lightning.train.identity import run_name


def begin(sweep: Path, number: int, *overrides: str) -> Path:
    folder = sweep / str(number)
    write_json(folder / sweeps.JOB, {"overrides": list(overrides), "configuration": {}})
    return folder


def write_log(path: Path, *rows: tuple[int, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("step,train/loss\n" + "".join(f"{step},{loss}\n" for step, loss in rows))


def test_the_table_has_a_row_for_every_job_that_was_begun(tmp_path):
    scores = {"Set14/x2/psnr": 33.1, "Set5/x8/psnr": 26.2, "Set5/x2/psnr": 37.54, "Set5/x2/ssim": 0.9584}
    finished = RunRecord(
        status="finished",
        name="memory-d4",
        overrides=("depth=4", "seed=1"),
        seed=1,
        parameters=214545,
        layers=8,
        levels=(2, 4),
        steps=500,
        seconds=61.25,
        val={"val/psnr": 31.5, "best": 31.75},
        test=scores,
    )
    write_record(begin(tmp_path, 0, "depth=4", "seed=1"), finished)
    begin(tmp_path, 10, "depth=12")
    failed = RunRecord(status="failed", name="memory-d0", overrides=("depth=0",), error="`depth` must be\n>= 1, got 0.")
    write_record(begin(tmp_path, 2, "depth=0"), failed)
    (tmp_path / ".submitit").mkdir()

    path = sweeps.write_table(tmp_path)

    assert path == tmp_path / "sweep.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["job"], row["status"], row["overrides"]) for row in rows] == [
        ("0", "finished", "depth=4 seed=1"),
        ("2", "failed", "depth=0"),
        ("10", "unfinished", "depth=12"),
    ]
    assert rows[1]["error"] == "`depth` must be >= 1, got 0."
    first = rows[0]
    assert [first[key] for key in ("name", "parameters", "layers", "levels", "seed", "steps", "seconds", "folder")] == [
        "memory-d4",
        "214545",
        "8",
        "x2_x4",
        "1",
        "500",
        "61.25",
        "0",
    ]
    assert [key for key in first if key.startswith(("val/", "test/"))] == [
        "val/best",
        "val/psnr",
        "test/Set14/x2/psnr",
        "test/Set5/x2/psnr",
        "test/Set5/x2/ssim",
        "test/Set5/x8/psnr",
    ]
    assert float(first["test/Set5/x2/ssim"]) == 0.9584


def test_a_sweep_without_jobs_has_no_table(tmp_path):
    assert sweeps.write_table(tmp_path) is None
    assert not (tmp_path / "sweep.csv").exists()


def test_a_damaged_record_is_a_row_with_its_error(tmp_path):
    (begin(tmp_path, 0) / "record.json").write_text("{")
    assert "must hold the record of a run" in sweeps.sweep_rows(tmp_path)[0]["error"]


def test_a_damaged_job_is_named(tmp_path):
    (begin(tmp_path, 0) / sweeps.JOB).write_text("[]")
    with pytest.raises(DataError, match=r"job\.json must say how a job was started"):
        sweeps.read_job(tmp_path / "0")


def test_the_log_of_a_continued_job_begins_with_that_of_its_first_part(tmp_path):
    log = tmp_path / "csv" / "metrics.csv"
    write_log(log, (0, "0.5"), (1, "0.4"), (2, "0.3"))
    run_folder.set_log_aside(tmp_path)
    assert not log.exists()
    write_log(log, (2, "0.31"), (3, "0.2"))  # killed after its last checkpoint: step 2 is done again
    run_folder.join_logs(tmp_path)
    with log.open(newline="") as file:
        assert [(row["step"], row["train/loss"]) for row in csv.DictReader(file)] == [
            ("0", "0.5"),
            ("1", "0.4"),
            ("2", "0.31"),
            ("3", "0.2"),
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["csv"]


def test_a_continuation_that_logged_nothing_loses_nothing(tmp_path):
    log = tmp_path / "csv" / "metrics.csv"
    write_log(log, (0, "0.5"))
    before = log.read_text().splitlines()
    run_folder.set_log_aside(tmp_path)
    run_folder.set_log_aside(tmp_path)  # killed at once, and repeated
    run_folder.join_logs(tmp_path)
    assert log.read_text().splitlines() == before


def test_paths_and_the_progress_bar_may_differ_and_nothing_else():
    before = {"paths": {"log_dir": "a"}, "trainer": {"enable_progress_bar": True, "max_epochs": 1}, "levels": [2]}
    after = json.loads(json.dumps(before))
    after["paths"]["log_dir"], after["trainer"]["enable_progress_bar"] = "b", False
    assert difference(before, after) is None
    after["levels"] = [2, 4]
    assert difference(before, after) == "levels was [2], is [2, 4]"
    assert difference(before, before | {"new": {"key": 1}}) == "new.key was None, is 1"


def test_a_configuration_is_compared_as_it_is_written():
    from omegaconf import OmegaConf

    cfg = OmegaConf.create({"lr": 1e-4, "model": {"lr": "${lr}"}, "hydra": {"job": 1}})
    assert configuration_of(cfg) == {"lr": 0.0001, "model": {"lr": "${lr}"}}


def test_swept_keys_are_those_with_several_values():
    words = ["depth=range(4,12)", "experiment=depth_sweep", "levels=x2,x2_x4", "test.scales=[2,4]"]
    assert swept_keys(words) == {"depth", "levels"}


class OwnGenerator(SubPixelGenerator):
    """A user's, whose constructor leaves depth and width to its base."""

    def __init__(self) -> None:
        super().__init__(depth=4, channels=8)
        self.entry = nn.Sequential(self.entry)  # which has no channels to ask for


@pytest.mark.parametrize(
    ("network", "adversarial", "levels", "overrides", "name"),
    [
        (Generator(), False, [2, 4], [], "memory-d10-x2_x4"),
        (Generator(), True, [2, 4], ["experiment=prosrgan", "init_from=a/b.ckpt"], "gan-memory-d10-x2_x4"),
        (
            LapSRN(scale=4),
            False,
            [2, 4],
            ["method=lapsrn", "scale=4", "data.train_dir=/x", "seed=3"],
            "lapsrn-x2_x4-s3",
        ),
        (
            Generator(),
            False,
            [2],
            ["model.generator.fusion=inception", "+optimizer.lr=1e-3"],
            "memory-d10-x2-fusion-inception-lr-1e_3",
        ),
        (OwnGenerator(), False, [2], [], "owngenerator-subpixel-d4-c8-x2"),
        (Generator(), False, [2], ["hydra/launcher=joblib", "~callbacks.panels", "trainer=cpu"], "memory-d10-x2"),
    ],
)
def test_a_run_is_named_after_what_it_changed(network, adversarial, levels, overrides, name):
    assert run_name({"levels": levels, "seed": 3}, overrides, network=network, adversarial=adversarial) == name
