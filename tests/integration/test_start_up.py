"""Help, a configuration to look at and mistakes come before anything that takes seconds to import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from light_commands import HEAVY
from PIL import Image

WITH_HELP = (
    "train", "evaluate", "report", "upscale", "export", "download", "release", "illustrate", "benchmark",
    "reproduce", "dashboard",
)  # fmt: skip
MISTAKES = [
    ("train", ["sede=2"], "got 'sede'; the nearest valid key is 'seed'"),
    ("train", ["trainer.max_epoch=2"], "the nearest valid key is 'trainer.max_epochs'"),
    ("train", ["+trainer.max_epoch=2"], "trainer (lightning.Trainer) must not hold the key 'max_epoch'"),
    ("train", ["+data.batch_sise=2"], "the nearest valid key is 'batch_size'"),
    ("train", ["model=prosrgan", "+model.wieght=2"], "the nearest valid key is 'weight'"),
    ("train", ["logger=wandb", "+logger.wandb.projekt=p"], "the nearest valid key is 'project'"),
    ("train", ["optimizer.betas=[0.9,0.9]"], "add it with +optimizer.betas=..."),
    ("train", ["-m", "+optimizer.lrr=1,2"], "the nearest valid key is 'lr'"),
    ("train", ["levels=x3"], "`levels` must be one of x2, x2_x4, x2_x4_x8, got 'x3'"),
    ("evaluate", ["benchmark=[Set5]"], "the nearest valid key is 'benchmarks'"),
    ("report", ["tabel=6"], "the nearest valid key is 'table'"),
    ("report", ["table=7"], "`table`: invalid choice: '7'"),
    ("upscale", ["-i", "a.png", "--engine", "tensorrt"], "invalid choice: 'tensorrt'"),
]
COMMANDS = [
    *((module, ["--help"]) for module in WITH_HELP),
    *((module, ["--cfg", "job"]) for module in ("train", "evaluate")),
    *((module, words) for module, words, _ in MISTAKES),
]


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Run all of the commands once, and return the exit code, the output and the heavy imports of one."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("light_commands.py"))],
        input=json.dumps(COMMANDS),
        cwd=tmp_path_factory.mktemp("commands"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    return lambda module, words: results[COMMANDS.index((module, words))]


@pytest.mark.parametrize("module", WITH_HELP)
def test_help_imports_nothing_heavy(started, module):
    code, written, heavy = started(module, ["--help"])
    assert code == 0
    assert module in written
    assert heavy == []


@pytest.mark.parametrize("module", ["train", "evaluate"])
def test_neither_does_the_composed_configuration(started, module):
    code, written, heavy = started(module, ["--cfg", "job"])
    assert code == 0
    assert f"task_name: {module}" in written
    assert heavy == []


@pytest.mark.parametrize(("module", "words", "message"), MISTAKES)
def test_a_mistake_is_told_before_anything_heavy_is_imported(started, module, words, message):
    code, written, heavy = started(module, words)
    assert code in (1, 2)
    assert message in written
    assert heavy == []


def test_enlarging_imports_nothing_that_only_training_needs(tmp_path):
    Image.new("RGB", (24, 20), "olive").save(tmp_path / "a.png")
    words = ["-i", "a.png", "-s", "2", "-n", "prosrn_light"]
    command = [sys.executable, "-X", "importtime", "-m", "prosr_lightning.upscale", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 enlarged" in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert HEAVY & imported == {"torch"}
    assert "torch._dynamo" not in imported  # a second and 70 MB, which the "meta" device would need


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    code = "import sys, prosr_lightning; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & (HEAVY | {"numpy", "hydra", "omegaconf", "rich", "PIL"})
