"""The compared methods are trained, scored and enlarged with by the same commands as ProSRN."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image

from prosr_lightning import Upscaler
from prosr_lightning.config import conf_dir, user_message, validate
from prosr_lightning.data.benchmarks import find_dataset
from prosr_lightning.evaluate.running import evaluate_network
from prosr_lightning.evaluate.task import EvaluateOptions
from prosr_lightning.evaluate.task import run as evaluate
from prosr_lightning.export import export_network
from prosr_lightning.metrics.protocol import get_protocol
from prosr_lightning.networks.weights import load_network
from prosr_lightning.runs.record import read_record
from prosr_lightning.train import train

METHODS = sorted(path.stem for path in (conf_dir() / "method").glob("*.yaml"))
# Narrower or shorter than the papers', so that a test takes a second.
SMALL = {
    "drcn": ["model.generator.channels=8", "model.generator.recursions=3"],
    "drrn": ["model.generator.channels=8", "model.generator.units=2"],
    "espcn": ["model.generator.channels=[8,4]"],
    "fsrcnn": ["model.generator.channels=8"],
    "lapsrn": ["model.generator.channels=8", "model.generator.depth=2"],
    "ms_lapsrn": ["model.generator.channels=8", "model.generator.depth=2", "model.generator.recursions=2"],
    "prosrn": ["model.generator.channels=8"],
    "srcnn": ["model.generator.channels=[8,4]"],
    "srresnet": ["model.generator.channels=8", "model.generator.blocks=2"],
    "vdsr": ["model.generator.channels=8", "model.generator.depth=4"],
}
PYRAMIDS = ("lapsrn", "ms_lapsrn", "prosrn")


@pytest.fixture
def race(tmp_path, picture_folder, monkeypatch):
    """Train one method in this process, tiny, and return the run folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "cache"))

    def run(method: str, *overrides: str) -> Path:
        words = ["debug=smoke", "experiment=compare", f"method={method}", "trainer=cpu", *SMALL.get(method, ())]
        words += ["data=folder", f"data.train_dir={picture_folder}", f"data.val_sets=[{picture_folder}]"]
        words += [f"paths.output_dir={tmp_path / 'run'}", "trainer.enable_progress_bar=false", "data.batch_size=2"]
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            cfg = compose("train", overrides=[*words, *overrides])
        validate(cfg, "train")
        train(cfg)
        return tmp_path / "run"

    return run


def test_batch_norm_survives_average_best_weights_scoring_and_export(race, picture_folder, tmp_path):
    """With the statistics of its start, the average of an SRResNet scored 10 dB below its live weights."""
    run = race(
        "srresnet",
        "scale=2",
        "budget=cpu",
        "data.crop=32",
        "data.patches_per_epoch=40",
        "trainer.max_time=null",
        "trainer.max_epochs=-1",
        "trainer.max_steps=30",  # in the middle of the second epoch
        f"test.benchmarks=[{picture_folder}]",
    )
    checkpoint = run / "checkpoints" / "best.ckpt"
    stored = torch.load(checkpoint, weights_only=True)
    state, best = stored["state_dict"], load_network(checkpoint).network
    assert stored["prosr"]["steps_done"] == 30
    live = copy.deepcopy(best)
    live.load_state_dict({k.removeprefix("generator."): v for k, v in state.items() if k.startswith("generator.")})
    assert int(best.after_blocks[1].num_batches_tracked) == 30

    record = json.loads((run / "record.json").read_text())
    (sets,) = [find_dataset(str(picture_folder), tmp_path)]
    scores = [evaluate_network(one, [sets], [2], get_protocol("paper"), device="cpu") for one in (best, live)]
    averaged, current = (sum(one.psnr_db for one in score) / len(score) for score in scores)
    assert averaged == pytest.approx(record["test"][f"{sets.name}/x2/psnr"], abs=1e-3)
    assert averaged > current - 1

    exported = export_network(str(checkpoint), tmp_path, target="torch", graphs=["step"], scale=2)[0]
    assert exported.difference < 1e-5


def losses(run: Path) -> list[float]:
    with (run / "csv" / "metrics.csv").open(newline="") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


# every recipe of the authors, and the one that all share with a network of each kind, see test_the_recipe_of_a_budget
@pytest.mark.parametrize(
    ("method", "budget"), [*((method, "paper") for method in METHODS), ("espcn", "cpu"), ("lapsrn", "cpu")]
)
def test_every_method_is_trained_scored_and_comes_back_from_its_checkpoint(
    race, method, budget, picture_folder, tmp_path
):
    run = race(method, "scale=4", f"budget={budget}", "data.crop=32", f"test.benchmarks=[{picture_folder}]")
    assert len(losses(run)) == 4
    assert all(loss > 0 for loss in losses(run))

    record = json.loads((run / "record.json").read_text())
    assert record["status"] == "finished"
    assert record["levels"] == ([2, 4] if method in PYRAMIDS else [4])
    assert (record["steps"], record["samples"]) == (4, 8)
    assert record["seconds"] > 0
    known = read_record(run)
    assert known is not None
    assert known.build().architecture == load_network(run / "checkpoints" / "best.ckpt").network.architecture
    assert (run / "test" / known.method).is_dir()
    assert (known.protocol, known.setting("data.crop")) == ("paper", 32)

    best = run / "checkpoints" / "best.ckpt"
    network = load_network(best).network.eval()
    assert type(network).__name__ == record["network"]
    assert sum(one.numel() for one in network.parameters()) == record["parameters"]
    with torch.no_grad():
        assert network.enlarge(torch.rand(1, 1, 7, 5), 4).shape == (1, 1, 28, 20)

    options = EvaluateOptions(
        data_dir=tmp_path,
        output_dir=tmp_path / "scored",
        ckpt_path=str(best),
        benchmarks=[str(picture_folder)],
        scales=[4],
        device="cpu",
    )
    rows, info = evaluate(options)
    assert info.parameters == record["parameters"]
    assert rows[0].psnr_db == pytest.approx(record["test"][f"{rows[0].dataset}/x4/psnr"], abs=1e-4)

    enlarged = Upscaler.from_pretrained(str(best)).upscale(Image.new("RGB", (9, 6), (200, 30, 90)), scale=4)
    assert enlarged.size == (36, 24)


def composed(budget: str, method: str, *overrides: str) -> DictConfig:
    words = ["paths.output_dir=out", f"budget={budget}", f"method={method}", *overrides]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        return compose("train", overrides=words)


@pytest.fixture(scope="module")
def recipes_of_prosrn() -> dict[str, DictConfig]:
    return {budget: composed(budget, "prosrn", "scale=4") for budget in ("cpu", "paper")}


@pytest.mark.parametrize("method", [method for method in METHODS if method != "prosrn"])
def test_the_recipe_of_a_budget(method, recipes_of_prosrn):
    """budget=cpu gives all the same loss and optimizer; budget=paper gives each its own."""
    cpu, paper, reference = composed("cpu", method, "scale=4"), composed("paper", method, "scale=4"), recipes_of_prosrn
    for key in ("optimizer", "scheduler", "data"):
        assert cpu[key] == reference["cpu"][key]
    assert cpu.model.content is None
    assert paper.model.content._target_.startswith("prosr_lightning.losses.")
    validate(paper, "train")


def test_the_recipe_of_prosrn(recipes_of_prosrn):
    assert [cfg.model.content for cfg in recipes_of_prosrn.values()] == [None, None]
    assert recipes_of_prosrn["paper"].optimizer._target_ == "torch.optim.Adam"


# What the authors say: rates (of the last layer or the biases as well), crop at 4x, batch.
AUTHORS = {
    "srcnn": ({"lr": 1e-4, "last_lr": 1e-5, "bias_lr": 1e-5}, 32, 128),
    "fsrcnn": ({"lr": 1e-3, "last_lr": 1e-4}, 24, 128),
    "espcn": ({"lr": 1e-2, "last_lr": 1e-3}, 4 * 17, 64),
    "vdsr": ({"lr": 0.1}, 40, 64),
    "drcn": ({"lr": 0.01}, 40, 64),
    "drrn": ({"lr": 0.1}, 32, 128),
    "srresnet": ({"lr": 1e-4}, 96, 16),
    "lapsrn": ({"lr": 1e-5, "bias_lr": 1e-6}, 128, 64),
    "ms_lapsrn": ({"lr": 5e-6, "bias_lr": 5e-7}, 128, 64),
}


@pytest.mark.parametrize("method", AUTHORS)
def test_a_recipe_has_the_settings_of_the_authors(method):
    cfg = composed("paper", method, "scale=4", "data=sample")
    expected, crop, batch_size = AUTHORS[method]
    assert {key: value for key, value in cfg.optimizer.items() if key.endswith("lr")} == expected
    data = instantiate(cfg.data, _convert_="all", levels=[2, 4])
    assert (data.side, data.batch_size) == (crop, batch_size)
    assert cfg.model.ema_decay == 0
    if method == "drrn":  # solver.prototxt of tyshiwo/DRRN_CVPR17
        assert (cfg.optimizer.clip, cfg.optimizer.whole, cfg.scheduler.factor, cfg.scheduler.drops) == (
            0.01,
            True,
            0.5,
            4,
        )
    if method == "drcn":  # 0.01 to 1e-6
        assert (cfg.scheduler.factor, cfg.scheduler.drops) == (0.1, 4)
    shrunk = {"fsrcnn": [0.9, 0.8, 0.7, 0.6], "lapsrn": [0.9, 0.8, 0.7, 0.6, 0.5]}
    assert list(cfg.data.shrink) == shrunk.get(method.removeprefix("ms_"), [])
    assert (cfg.data.level_shares, cfg.data.supervise) == (("equal", "all") if method == "ms_lapsrn" else (None, "top"))
    header = (conf_dir() / "recipe" / f"paper_{method}.yaml").read_text().split("model:")[0]
    assert "# Differs: " in header


def test_a_method_without_a_recipe_is_named(run_module, tmp_path):
    (tmp_path / "mine" / "method").mkdir(parents=True)
    method = (conf_dir() / "method" / "espcn.yaml").read_text()
    (tmp_path / "mine" / "method" / "own.yaml").write_text(method)
    words = ["--config-dir", "mine", "method=own", "scale=2", "debug=smoke", "data=sample", "trainer=cpu"]
    said = " ".join(run_module("train", *words).stdout.split())
    assert (
        "No recipe for method=own with budget=paper, so it trains as ProSRN does: the Charbonnier loss of Eq. 1" in said
    )
    assert "torch.optim.Adam at 0.0001" in said
    (tmp_path / "mine" / "recipe").mkdir()
    (tmp_path / "mine" / "recipe" / "paper_own.yaml").write_text("# @package _global_\noptimizer:\n  lr: 1e-3\n")
    assert "No recipe" not in run_module("train", *words).stdout


@pytest.mark.parametrize(
    ("method", "overrides", "expected"),
    [
        ("vdsr", ["scale=3"], "`scale` must be a power of two >= 2, got 3"),
        ("fsrcnn", ["scale=16"], "scale"),
        ("srcnn", ["scale=4", "test.benchmarks=[Set5]", "test.scales=[2]"], "`test.scales` must hold a factor"),
        ("srcnn", ["scale=null", "val_scales=null", "test.scales=[2]"], "scale"),
    ],
)
def test_what_a_method_cannot_do_is_said_before_the_training(race, method, overrides, expected, tmp_path):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # Hydra wraps some
        race(method, *overrides)
    assert expected in (user_message(caught.value) or "")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_scales_that_a_method_cannot_do_are_left_out_and_named(race, picture_folder, caplog):
    run = race("srcnn", "scale=2", f"test.benchmarks=[{picture_folder}]", "test.scales=[2,4]")
    assert "Not scored at [4], which this SRCNN cannot do" in caplog.text
    assert {key.split("/")[1] for key in json.loads((run / "record.json").read_text())["test"]} == {"x2"}


@pytest.mark.parametrize(
    "method",
    ["srcnn", "fsrcnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vdsr", "drrn", "lapsrn"))],
)
def test_an_authors_recipe_stays_finite_at_its_own_size(race, method, monkeypatch):
    """The full network, rate and crop: where the loss is a sum over pixels, the crop decides about its gradient."""
    monkeypatch.setitem(SMALL, method, [])
    crop = composed("paper", method, "scale=2").data.crop
    run = race(
        method,
        "scale=2",
        "budget=paper",
        f"data.crop={min(crop, 64)}",
        "data.patches_per_epoch=320",
        "data.batch_size=16",
    )
    assert len(losses(run)) == 20
    assert sum(losses(run)[-3:]) < 3 * max(losses(run)[:3])
