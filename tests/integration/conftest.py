from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from processes import started


@pytest.fixture
def picture_folder(tmp_path) -> Path:
    """A folder of four smooth random pictures, 64 x 64 pixels and more."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(3)
    for number in range(4):
        coarse = Image.fromarray(random.integers(0, 256, (16, 20, 3), dtype=np.uint8))
        coarse.resize((80, 64), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def main(tmp_path, monkeypatch, capsys):
    """Run the tiny training command in this process; return the exit code and what it wrote to standard error."""
    from prosr_lightning import train  # seconds, for the tests that need it

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    smoke = ["debug=smoke", "data=sample", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]

    def run(*words: str) -> tuple[int, str]:
        narrow = () if any(word.startswith("method=") for word in words) else ("model.generator.channels=8",)
        monkeypatch.setattr(sys, "argv", ["train", *smoke, *narrow, *words])
        with pytest.raises(SystemExit) as ended:
            train.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture
def run_module(tmp_path):
    """Run `python -m prosr_lightning.<module> ...` in an empty working directory."""

    def run(module: str, *arguments: str, check: bool = True, timeout: float = 200, **environment: str):
        settings = {"PROSR_CACHE_DIR": str(tmp_path / "cache"), **environment}
        with started(module, *arguments, folder=tmp_path, environment=settings) as command:
            finished = command.wait(timeout)
        if check:
            assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A network that enlarges tiny pictures in no time."""
    from awkward_pictures import tiny_weights  # imports torch

    return tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def run(weights, tmp_path, monkeypatch, capsys):
    """Run `prosr-upscale` with that network in this process and an empty working directory."""
    from awkward_pictures import Run

    monkeypatch.chdir(tmp_path)
    return Run(weights, capsys)
