"""Logs beside the CSV, each by Lightning's own class: what was logged comes back out of their own files."""

import csv
import json

import pytest
from omegaconf import OmegaConf

TAGGED = ("tags=[first,try]", "notes='in words'")


def _logged(run) -> list[tuple[int, float]]:
    with (run / "csv" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [(int(row["step"]), float(row["train/loss"])) for row in csv.DictReader(file) if row["train/loss"]]


def test_tensorboard_has_what_the_csv_has(main, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    code, errors = main("logger=[csv,tensorboard]", *TAGGED, "hydra.run.dir=run")
    assert code == 0, errors
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    scalars = [(event.step, event.value) for event in events.Scalars("train/loss")]
    logged = _logged(tmp_path / "run")
    assert [step for step, _ in scalars] == [step for step, _ in logged] == [0, 1, 2, 3]
    assert [value for _, value in scalars] == pytest.approx([value for _, value in logged])
    assert {"val/psnr", "val/sample/x2/psnr"} <= set(events.Tags()["scalars"])


def test_the_record_and_the_tree_say_what_the_run_was(main, tmp_path):
    code, errors = main("logger=none", *TAGGED, "hydra.run.dir=run")
    assert code == 0, errors
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["tags"] == ["prosrn", "memory", "paper", "x2", "first", "try"]
    assert record["notes"] == "in words"
    assert "tags=[first,try]" in record["command"]
    assert record["packages"]["lightning"]
    tree = [line.strip("│├└─ \xa0") for line in (tmp_path / "run" / "config_tree.txt").read_text().splitlines()]
    cfg = OmegaConf.load(tmp_path / "run" / ".hydra" / "config.yaml")
    assert tree[0] == "config"
    assert f"output_dir: {cfg.paths.output_dir}" in tree
    assert {"generator", "depth: 2", "levels: [2]", "scheduler", "ckpt_path: null"} <= set(tree)
    leaves = [line for line in tree if ": " in line or line.endswith(":")]
    assert len(leaves) == sum(1 for _ in _leaves(OmegaConf.to_container(cfg)))


def _leaves(node):
    for value in node.values():
        if isinstance(value, dict) and value:
            yield from _leaves(value)
        else:
            yield value


@pytest.mark.parametrize(
    ("logger", "known"),
    [
        ("tensorboard", ["fabric.loggers.tensorboard._TENSORBOARD", "fabric.loggers.tensorboard._TENSORBOARDX"]),
        ("mlflow", ["pytorch.loggers.mlflow._MLFLOW"]),
    ],
)
def test_a_logger_that_is_not_installed_names_its_extra(main, tmp_path, monkeypatch, logger, known):
    for name in known:
        monkeypatch.setattr(f"lightning.{name}_AVAILABLE", False)
    code, errors = main(f"logger={logger}")
    assert code == 1
    message = f"`logger.{logger}` needs packages that are not installed: pip install 'prosr-lightning[{logger}]'."
    assert f"error: {message}" in errors
    assert not list((tmp_path / "logs").glob("**/checkpoints"))


@pytest.mark.slow
def test_mlflow_has_what_the_csv_has(run_module, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    words = ["debug=smoke", "data=sample", "trainer=cpu", "logger=mlflow", *TAGGED, "hydra.run.dir=run"]
    run_module("train", *words, PYTHONWARNINGS="ignore")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/logs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("smoke").experiment_id])
    losses = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "train/loss")]
    assert dict(losses) == pytest.approx(dict(_logged(tmp_path / "run")))
    assert (run.info.run_name, run.info.status) == ("memory-d2-x2", "FINISHED")
    assert run.data.tags["tags"] == "prosrn, memory, paper, x2, first, try"
    assert run.data.tags["mlflow.note.content"] == "in words"
    assert run.data.params["model/generator/depth"] == "2"
