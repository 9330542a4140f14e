from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from golden.independent import picture
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks import DirectNetwork

NAMES = ("odd", "wide", "flat")


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


@pytest.fixture
def tiny(tmp_path):
    """Three generated pictures as a benchmark."""
    folder = tmp_path / "Tiny"
    folder.mkdir()
    for name in NAMES:
        Image.fromarray(picture(name)).save(folder / f"{name}.png")
    return Benchmark(name="Tiny", images=tuple(folder / f"{name}.png" for name in NAMES))


class Brightened(DirectNetwork):
    """Bicubic made brighter: a network whose result is known, and that records its inputs."""

    calls: list[tuple[tuple[int, ...], int]]
    receptive_radius = 4
    scales = (2, 4, 8)

    def __init__(self) -> None:
        super().__init__(scale=2)
        self.amount = nn.Parameter(torch.tensor(0.1))

    def forward(self, lr):
        return self.enlarge(lr, self.scale)

    def progressive(self, lr, scale, *, detach_between_levels=False):
        type(self).calls.append((tuple(lr.shape), scale))
        assert not self.training
        assert torch.is_inference_mode_enabled()
        return {scale: bicubic_upscale(lr, scale) + self.amount}


@pytest.fixture
def brightened():
    Brightened.calls = []
    return Brightened()
