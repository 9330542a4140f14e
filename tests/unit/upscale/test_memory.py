"""Tiles that fit into the memory that is free."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prosr_lightning.networks import Generator, SubPixelGenerator
from prosr_lightning.upscale.engines import TorchEngine
from prosr_lightning.upscale.memory import _left_to_container, automatic_tile, free_memory


def test_the_automatic_tile_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr("prosr_lightning.upscale.memory.free_memory", lambda device: 2 * 4096 * 100**2)
    assert automatic_tile(cpu, bytes_per_pixel=4096, halo=13) == 100 - 26
    monkeypatch.setattr("prosr_lightning.upscale.memory.free_memory", lambda device: 1)
    assert automatic_tile(cpu, bytes_per_pixel=4096, halo=13) == 16
    monkeypatch.setattr("prosr_lightning.upscale.memory.free_memory", lambda device: None)
    assert automatic_tile(cpu, bytes_per_pixel=4096, halo=13) == 256 - 26  # sqrt(256 MiB / 4 KiB) - 26


def test_the_memory_of_a_tile_follows_the_size_of_the_features() -> None:
    at_the_size_of_the_result = TorchEngine(Generator(channels=32), device="cpu").bytes_per_pixel(2)
    at_that_of_the_input = TorchEngine(SubPixelGenerator(channels=32), device="cpu").bytes_per_pixel(2)
    assert at_the_size_of_the_result == 4 * at_that_of_the_input == 24 * 4 * 32


def test_free_memory_is_plausible(tmp_path: Path) -> None:
    assert (free_memory(torch.device("cpu")) or 2**30) > 2**20
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert _left_to_container(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert _left_to_container(tmp_path) is None
    assert _left_to_container(tmp_path / "absent") is None
