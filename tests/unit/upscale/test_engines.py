"""Engines: precision, devices, and what is said when one is not there."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.networks import Generator
from prosr_lightning.upscale import engines
from prosr_lightning.upscale.engines import TorchEngine, choose_device
from prosr_lightning.upscale.upscaler import Upscaler


def lively() -> Generator:
    """Return a small network that does something, without blowing values up."""
    torch.manual_seed(0)
    network = Generator(depth=1, channels=4)
    with torch.no_grad():
        network.fusion.weight.normal_(std=0.05)
    return network.eval()


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler.from_network(lively(), device="cpu", tile=16)


class Fragile(Generator):
    """A network that half precision cannot hold."""

    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr) + 0 * (lr.mean() + 70000)  # above float16's 65504


def test_values_that_are_not_finite_in_half_precision_are_redone(caplog: pytest.LogCaptureFixture) -> None:
    network = Fragile(depth=1, channels=4)
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    with caplog.at_level(logging.WARNING):
        result = Upscaler.from_network(network, device="cpu", precision="float16", tile=16).upscale(image, 2)
    expected = Upscaler.from_network(network, device="cpu", tile=16).upscale(image, 2)
    assert np.array_equal(result, expected)
    assert [record.message for record in caplog.records] == [
        "torch.float16 gave values that are not finite; those tiles are redone in float32."
    ]


class Misshapen(Generator):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr).repeat(1, 2, 1, 1)


class Dividing(Generator):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr) / 0


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Misshapen, r"Misshapen must make an image \(1, 1, 40, 40\)"), (Dividing, "must give finite values")],
)
def test_a_result_that_is_no_image_is_an_error(kind: type[Generator], message: str) -> None:
    image = np.full((20, 20), 0.5)
    with pytest.raises(ConfigError, match=message):
        Upscaler.from_network(kind(depth=1, channels=4), device="cpu").upscale(image, 2)


def test_arrays_of_five_axes_are_no_kernels() -> None:
    network = lively()
    network.positions = torch.nn.Parameter(torch.zeros(1, 2, 3, 4, 5))
    engine, window = TorchEngine(network, device="cpu"), torch.rand(1, 1, 20, 20)
    with torch.no_grad():
        torch.testing.assert_close(engine.enlarge(window, 2, exact=True), network(window))
    placed = engine._networks[torch.float32]
    assert placed.entry.weight.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_is_close(upscaler: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    half = Upscaler.from_network(lively(), device="cpu", precision="float16").upscale(image, 2)
    assert np.abs(half.astype(int) - upscaler.upscale(image, 2)).max() <= 2


@pytest.mark.parametrize("tile", ["auto", 16])
def test_the_image_itself_keeps_its_digits_in_bfloat16(tile: int | str) -> None:
    ramp = np.linspace(0, 1, 60 * 40, dtype=np.float64).reshape(60, 40)
    bilinear = Generator(depth=1, channels=4)  # untrained: no residual
    exact = Upscaler.from_network(bilinear, device="cpu", tile=tile).upscale(ramp, 2)
    half = Upscaler.from_network(bilinear, device="cpu", tile=tile, precision="bfloat16").upscale(ramp, 2)
    assert np.abs(half - exact).max() < 1e-6  # bfloat16 would be off by 2e-3

    features = Upscaler.from_network(lively(), device="cpu", tile=tile, precision="bfloat16").upscale(ramp, 2)
    expected = Upscaler.from_network(lively(), device="cpu", tile=tile).upscale(ramp, 2)
    assert 0 < np.abs(features - expected).max() < 4e-3


def test_the_given_network_is_not_changed() -> None:
    network = Generator(depth=1, channels=4)
    Upscaler.from_network(network, device="cpu", precision="float16")
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tile": 8}, "`tile`"),
        ({"tile": "big"}, "`tile`"),
        ({"precision": "int8"}, "`precision`"),
        ({"device": "quantum"}, "`device`"),
        ({"device": "cuda:99"}, "`device`"),
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Upscaler.from_network(lively(), **arguments)  # type: ignore[arg-type]


def test_engines_that_are_unknown_or_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="torch, onnxruntime, openvino"):
        Upscaler.from_pretrained("prosrn", engine="tpu")
    (tmp_path / "a.onnx").touch()
    for engine in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, engine, None)
        with pytest.raises(MissingDependencyError, match=f"pip install {engine}"):
            Upscaler.from_pretrained(tmp_path / "a.onnx", engine=engine)


def test_all_that_an_engine_lacks_is_named_before_it_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime", "openvino", "ncnn", "pnnx"):
        monkeypatch.setitem(sys.modules, package, None)
    for engine, packages in (
        ("onnxruntime", "onnx onnxscript onnxruntime"),
        ("openvino", "onnx onnxscript openvino"),
        ("ncnn", "pnnx ncnn"),
    ):
        with pytest.raises(MissingDependencyError, match=f"engine={engine} needs .*; pip install {packages}"):
            Upscaler.from_pretrained("prosrn_light", engine=engine)


def test_the_automatic_device_is_there() -> None:
    assert torch.zeros(1, device=choose_device("auto")).sum().item() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows starts processes anew")
def test_a_forked_process_computes_on() -> None:
    """It runs in a process of its own: this one may have threads."""
    script = """
import os, sys, torch, numpy as np
from prosr_lightning.networks import Generator
from prosr_lightning.upscale.upscaler import Upscaler
torch.set_num_threads(2)
upscaler = Upscaler.from_network(Generator(depth=1, channels=16), device="cpu")
image = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
before = upscaler.upscale(image, 2)
child = os.fork()
if not child:
    os._exit(0 if np.abs(upscaler.upscale(image, 2).astype(int) - before).max() <= 1 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0  # it would hang


def test_bfloat16_without_instructions_for_it_becomes_float32(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "_has_bfloat16", lambda: False)
    assert TorchEngine(lively(), device="cpu", precision="bfloat16").precision == "float32"
    assert "no bfloat16 instructions" in caplog.text
    monkeypatch.setattr(engines, "_has_bfloat16", lambda: True)
    assert TorchEngine(lively(), device="cpu", precision="bfloat16").precision == "bfloat16"
