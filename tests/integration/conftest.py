from __future__ import annotations

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
