from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from prosr_lightning.config import conf_dir, validate
from prosr_lightning.errors import ConfigError
from prosr_lightning.report import parse_words
from prosr_lightning.sweep import reproduce


def words_of_jobs(command):
    """Return the words of every job of a training command."""
    parsed = OverridesParser.create().parse_overrides(command[2:])
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return batch


def jobs(command, *, seed=None):
    """Compose every job of a training command, or those of a seed."""
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        for words in words_of_jobs(command):
            if seed is not None and f"seed={seed}" not in words:
                continue
            cfg = compose("train", overrides=["paths.output_dir=out", *words])
            validate(cfg, "train")
            yield cfg


@pytest.mark.parametrize("name", list(reproduce.SWEEPS))
def test_every_training_of_the_plan_composes(name):
    plan = reproduce.make_plan(["minutes=90", "train=/some/photographs, of ours", "data=it's here", "seeds=0,3"])
    seeds = [word for words in words_of_jobs(plan.trainings[name]) for word in words if word.startswith("seed=")]
    assert seeds == ["seed=0"] * (len(seeds) // 2) + ["seed=3"] * (len(seeds) // 2)  # a seed more adds jobs at the end
    found = list(jobs(plan.trainings[name], seed=3))
    assert len(found) == len(seeds) // 2 > 0
    for cfg in found:
        assert cfg.seed == 3
        assert cfg.trainer.max_time == "00:01:30:00"
        assert cfg.data.train_dir == "/some/photographs, of ours"
        assert cfg.paths.data_dir == "it's here"
        assert cfg.trainer.devices == 1
        assert cfg.sweep.resume is True


def test_reports_are_made_of_the_sweeps_that_are_there(tmp_path):
    assert reproduce.report_commands(tmp_path) == {}
    for name in ("progressive", "depth_sweep"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sweep.csv").write_text("job\n")
    commands = reproduce.report_commands(tmp_path)
    assert set(commands) == {"table2.md", "figure7.png", "report.html"}
    assert parse_words(commands["table2.md"][1:]).runs == (str(tmp_path / "progressive"),)
    assert commands["report.html"][1] == f"sweep=[{tmp_path / 'progressive'},{tmp_path / 'depth_sweep'}]"


def test_the_sweeps_are_those_of_the_tables():
    plan = reproduce.make_plan(["budget=paper"])
    assert [cfg.model.generator.structure for cfg in jobs(plan.trainings["structure_ablation"])] == [
        "plain",
        "residual",
        "memory",
    ]
    mixed = list(jobs(plan.trainings["mixed_levels"]))
    assert [list(cfg.levels) for cfg in mixed] == [[2], [2, 4], [2, 4, 8]]
    assert {tuple(cfg.model.val_scales) for cfg in mixed} == {(2, 4, 8)}
    assert [cfg.depth for cfg in jobs(plan.trainings["depth_sweep"])] == [4, 6, 8, 10, 12]
    assert "DIV2K" in mixed[0].data._target_
    assert mixed[0].trainer.max_epochs == 200


def test_a_fresh_machine_needs_no_data():
    (cfg,) = jobs(reproduce.make_plan([]).trainings["progressive"])
    assert "Sample" in cfg.data._target_
    assert cfg.test.benchmarks == "validation"


def test_steps_replace_time():
    (cfg,) = jobs(reproduce.make_plan(["steps=300"]).trainings["progressive"])
    assert (cfg.trainer.max_steps, cfg.trainer.max_time, cfg.trainer.max_epochs) == (300, None, -1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["budget=huge"], "`budget`: invalid choice: 'huge'"),
        (["minutes=0"], "`minutes`: must be a whole number >= 1, got '0'"),
        (["minutes=1", "steps=1"], "One of minutes and steps"),
        (["seeds=a"], "`seeds`: must be whole numbers"),
        (["cpu"], "must be key=value, got 'cpu'"),
    ],
)
def test_wrong_words_are_explained(words, message):
    with pytest.raises(ConfigError, match=message):
        reproduce.make_plan(words)


def test_a_failed_sweep_does_not_stop_the_others_and_a_stopped_one_does(tmp_path, monkeypatch, capsys):
    codes = {"structure_ablation": 1}
    ran = []

    def run(words):
        name = next((one for one in reproduce.SWEEPS if any(one in word for word in words if "sweep.dir" in word)), "")
        ran.append(name)
        return codes.get(name, 0)

    monkeypatch.setattr(reproduce, "_run", run)
    plan = reproduce.make_plan([f"out={tmp_path}"])
    assert reproduce.run(plan) == 1
    assert ran == list(reproduce.SWEEPS)
    assert "not complete: structure_ablation" in capsys.readouterr().err

    ran.clear()
    codes["mixed_levels"] = 130
    assert reproduce.run(plan) == 130
    assert ran == ["structure_ablation", "mixed_levels"]


def test_a_signal_reaches_the_running_command_once(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "import signal, time, sys\n"
        "seen = []\n"
        "signal.signal(signal.SIGTERM, lambda *a: seen.append(1))\n"
        "print('ready', flush=True)\n"
        "while not seen: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "sys.exit(len(seen) * 100)\n"
    )
    code = "import sys; from prosr_lightning.sweep.reproduce import _run; sys.exit(_run(['child']))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(timeout=60) == 100


def test_a_missing_folder_of_photographs_is_said_before_anything_is_run(tmp_path):
    with pytest.raises(ConfigError, match=f"`train` must be a folder of photographs, got {tmp_path / 'none'}"):
        reproduce.run(reproduce.make_plan([f"train={tmp_path / 'none'}"]))


def test_a_mistyped_word_is_named():
    with pytest.raises(ConfigError, match="must have a known key, got 'budgt'; the nearest valid key is 'budget'"):
        reproduce.make_plan(["budgt=cpu"])


def test_few_steps_are_validated_too():
    words = reproduce.make_plan(["steps=10"]).trainings["depth_sweep"]
    assert "data.patches_per_epoch=32" in words  # two batches of 16 of the ten
