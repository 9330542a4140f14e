"""Pictures are enlarged where PyTorch is not installed: one way for arrays of numpy and of PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from prosr_lightning.networks import Generator
from prosr_lightning.upscale.engines import TorchEngine
from prosr_lightning.upscale.upscaler import Upscaler

# what a process must do without; None in sys.modules raises ModuleNotFoundError
BLOCKED = (
    *("torch", "lightning", "pytorch_lightning", "hydra", "omegaconf", "kornia", "wandb", "torchmetrics", "scipy"),
    *("matplotlib", "skimage", "safetensors", "pooch", "requests", "pytorch_optimizer", "jinja2", "filelock"),
)
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r}))\n"

# an engine that enlarges by repeating pixels, so that all but the network is seen at work
REPEATING = """
import numpy as np
from prosr_lightning.upscale.upscaler import Upscaler

class Repeating:
    device, arrays = "cpu", np
    def enlarge(self, window, factor, *, exact):
        return window.repeat(factor, -1).repeat(factor, -2)
    def streamed(self, factor, *, count, width):
        return None
    def passes(self, scale):
        return [(2, 0)] * (scale.bit_length() - 1)
    def bytes_per_pixel(self, factor):
        return 16
"""


class ThroughNumpy:
    """A network in PyTorch that takes and returns arrays of numpy, as a runtime for exported networks does."""

    device, arrays = "cpu", np

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine
        self.passes, self.bytes_per_pixel = engine.passes, engine.bytes_per_pixel

    def enlarge(self, window: npt.NDArray[np.float32], factor: int, *, exact: bool) -> npt.NDArray[np.float32]:
        return self._engine.enlarge(torch.from_numpy(window.copy()), factor, exact=exact).numpy()

    def streamed(self, factor: int, *, count: int, width: int) -> None:
        return None


def process(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT + script, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def images(rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    rgba = rng.integers(0, 256, (37, 50, 4), dtype=np.uint8)
    rgba[5:20, 10:30, 3] = 0
    return {
        "gray": rng.integers(0, 256, (23, 31), dtype=np.uint8),
        "colour": rng.integers(0, 256, (40, 29, 3), dtype=np.uint8),
        "alpha": rgba,
        "16 bits": rng.integers(0, 65536, (21, 34, 3), dtype=np.uint16),
        "floating point": rng.random((25, 33, 3)),
    }


@pytest.mark.parametrize("kind", ["gray", "colour", "alpha", "16 bits", "floating point"])
@pytest.mark.parametrize(
    "asked",
    [
        {"scale": 2},
        {"scale": 2.7, "chroma": "network"},
        {"scale": 4, "self_ensemble": True, "tile": 16},
        {"size": (150, 120), "levels": True},
    ],
    ids=["2x", "any size", "self-ensemble", "levels"],
)
@torch.inference_mode()
def test_arrays_of_numpy_go_the_way_of_tensors(kind: str, asked: dict[str, Any], rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    network = Generator(depth=1, channels=4)
    network.fusion.weight.normal_(std=0.05)
    engine, image = TorchEngine(network, device="cpu"), images(rng)[kind]
    asked = dict(asked)
    ways = {key: asked.pop(key) for key in ("tile", "chroma") if key in asked}
    expected, result = (Upscaler(each, **ways).upscale(image, **asked) for each in (engine, ThroughNumpy(engine)))
    for one, other in zip(*((found if "levels" in asked else [found]) for found in (expected, result)), strict=True):
        assert (other.dtype, other.shape) == (one.dtype, one.shape)
        difference = np.abs(one.astype(np.float64) - other)
        if kind == "floating point":
            assert difference.max() < 1e-5
        else:
            assert difference.max() <= (1 if kind != "16 bits" else 2)
            assert (difference > 0).mean() < 0.01 if kind != "16 bits" else True


def test_nothing_on_the_way_needs_pytorch(tmp_path: Path) -> None:
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(5, 4, 3) * 4).save(tmp_path / "a.png")
    script = f"""{REPEATING}
import prosr_lightning.upscale as command
class Loaded(Upscaler):
    @classmethod
    def from_pretrained(cls, name, **settings):
        return cls(Repeating(), chroma=settings["chroma"])
command.Upscaler = Loaded
assert Upscaler(Repeating()).upscale(np.full((6, 7, 3), 0.5), size=(17, 13)).shape == (13, 17, 3)
sys.exit(command.main(sys.argv[1:]))
"""
    assert process(script, "--help").stdout.startswith("usage: prosr-upscale")
    done = process(script, "-i", str(tmp_path / "a.png"), "-s", "2.5", "--tta", "--ext", "tif")
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "a_x2.5.tif") as result:
        assert result.size == (10, 13)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "torch"], "The engine torch needs PyTorch, which is not installed; pip install prosr-lightning"),
        ([], "prosrn_large, which is not exported yet, needs PyTorch"),
        (["--device", "cuda"], "`device` needs the engine torch, which comes with prosr-lightning, got 'onnxruntime'"),
        (["--bf16"], "`precision` needs the engine torch"),
        (["-n", "prosrn_jpeg", "--denoise", "0.5"], "`denoise` needs the engine torch"),
    ],
)
def test_what_needs_pytorch_says_so(tmp_path: Path, words: list[str], message: str) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "a.png")
    script = "from prosr_lightning.upscale import main\nsys.exit(main(sys.argv[1:]))"
    done = process(script, "-i", str(tmp_path / "a.png"), *words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
