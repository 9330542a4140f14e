from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import nn

from golden.independent import picture
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.imaging.resize import bicubic_upscale

NAMES = ("odd", "wide", "flat")


@pytest.fixture
def tiny(tmp_path):
    """Three generated pictures as a benchmark."""
    folder = tmp_path / "Tiny"
    folder.mkdir()
    for name in NAMES:
        Image.fromarray(picture(name)).save(folder / f"{name}.png")
    return Benchmark(name="Tiny", images=tuple(folder / f"{name}.png" for name in NAMES))


class Brightened(nn.Module):
    """Bicubic made brighter: a network whose result is known, and that records its inputs."""

    calls: list[tuple[tuple[int, ...], int]]
    receptive_radius = 4
    architecture = {"name": "Brightened"}  # noqa: RUF012  # as in the contract

    def __init__(self) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(0.1))

    def progressive(self, lr, scale, *, detach_between_levels=False):
        type(self).calls.append((tuple(lr.shape), scale))
        assert not self.training
        assert torch.is_inference_mode_enabled()
        return [bicubic_upscale(lr, scale) + self.amount]

    def training_levels(self, scale):
        return (scale,)


@pytest.fixture
def brightened():
    Brightened.calls = []
    return Brightened()
