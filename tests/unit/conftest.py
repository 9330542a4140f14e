from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write smooth random pictures of the given (height, width) into a folder and return their paths."""

    def write(*sizes: tuple[int, int], folder: str = "photographs") -> list[Path]:
        random = np.random.default_rng(7)
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = []
        for number, (height, width) in enumerate(sizes):
            coarse = random.integers(0, 256, (max(1, height // 4), max(1, width // 4), 3), dtype=np.uint8)
            path = tmp_path / folder / f"{number:02}.png"
            Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
            paths.append(path)
        return paths

    return write
