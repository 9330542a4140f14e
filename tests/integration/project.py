"""A user's folder beside an installed package, as the documents suppose it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from documents import REPOSITORY


class Project:
    """A folder with files and photographs, and the wheel installed elsewhere."""

    def __init__(self, folder: Path, *, files: Mapping[str, str]) -> None:
        self.folder, self.installed = folder / "project", folder / "installed"
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
        subprocess.run(build, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(self.installed)]
        subprocess.run([*install, str(wheel)], check=True, capture_output=True)
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (self.folder / "photographs").mkdir(parents=True)
        random = np.random.default_rng(3)
        for number in range(3):
            coarse = Image.fromarray(random.integers(0, 256, (16, 20, 3), dtype=np.uint8))
            picture = coarse.resize((80, 64), Image.Resampling.BICUBIC)
            picture.save(self.folder / "photographs" / f"{number}.png")

    def bash(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.installed),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PROSR_CACHE_DIR": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }
        done = subprocess.run(
            ["bash", "-e", "-c", command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if check:
            assert done.returncode == 0, command + done.stdout + done.stderr
        return done
