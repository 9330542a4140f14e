"""Help, a configuration to look at and mistakes come before anything that takes seconds to import."""

import subprocess
import sys

import pytest
from PIL import Image

HEAVY = {"torch", "lightning", "torchmetrics", "kornia", "scipy", "skimage", "matplotlib", "wandb"}


def _start(folder, module: str, *words: str) -> tuple[int, str, set[str]]:
    """Return the exit code, what was written, and which of the heavy packages were imported."""
    command = [sys.executable, "-X", "importtime", "-m", f"prosr_lightning.{module}", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    times = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in times}
    assert "prosr_lightning" in imported
    return done.returncode, done.stdout + done.stderr, imported & HEAVY


@pytest.mark.parametrize(
    "module",
    [
        "train", "evaluate", "report", "upscale", "export", "download", "release", "illustrate", "benchmark",
        "reproduce", "dashboard",
    ],
)  # fmt: skip
def test_help_imports_nothing_heavy(tmp_path, module):
    code, written, heavy = _start(tmp_path, module, "--help")
    assert code == 0
    assert module in written
    assert heavy == set()


@pytest.mark.parametrize("module", ["train", "evaluate"])
def test_neither_does_the_composed_configuration(tmp_path, module):
    code, written, heavy = _start(tmp_path, module, "--cfg", "job")
    assert code == 0
    assert f"task_name: {module}" in written
    assert heavy == set()


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
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
    ],
)
def test_a_mistake_is_told_before_anything_heavy_is_imported(tmp_path, module, words, message):
    code, written, heavy = _start(tmp_path, module, *words)
    assert code in (1, 2)
    assert message in written
    assert heavy == set()


def test_enlarging_imports_nothing_that_only_training_needs(tmp_path):
    Image.new("RGB", (24, 20), "olive").save(tmp_path / "a.png")
    code, written, heavy = _start(tmp_path, "upscale", "-i", "a.png", "-s", "2", "-n", "prosrn_light")
    assert code == 0, written
    assert "1 enlarged" in written
    assert heavy == {"torch"}


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    code = "import sys, prosr_lightning; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & (HEAVY | {"numpy", "hydra", "omegaconf", "rich", "PIL"})
