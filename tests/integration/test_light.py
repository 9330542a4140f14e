"""Pictures are enlarged where PyTorch is not installed: one way for arrays of numpy and of PyTorch, and light/."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from prosr_lightning.export import export_network
from prosr_lightning.networks import Generator
from prosr_lightning.released import released_names
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


def process(script: str, *words: str, package: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT + script, *words]
    environment = os.environ if package is None else {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


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
        (["--bf16"], "`precision=bfloat16` needs the engine torch"),
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


@pytest.mark.parametrize("name", ["Generator", "load_network"])
def test_a_public_name_that_needs_pytorch_says_so(name: str) -> None:
    last = process(f"from prosr_lightning import {name}").stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: prosr_lightning.{name} needs PyTorch and the whole package")


REPOSITORY = Path(__file__).parents[2]
LIGHT = tomllib.loads((REPOSITORY / "light" / "pyproject.toml").read_text(encoding="utf-8"))
FILES = {
    REPOSITORY / "light" / source: target
    for source, target in LIGHT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items()
}
ELSEWHERE = {  # what the listed modules import when they are asked for what needs PyTorch, and for types
    *("networks", "networks.blending", "networks.weights", "upscale.engines", "export.task", "export.integers"),
    *("networks.Generator", "networks.load_network"),
}


def imported(path: Path) -> set[str]:
    """Return what a module of ours imports of ours, without the package's name."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    froms = [(node.module or "", node.names) for node in nodes if isinstance(node, ast.ImportFrom)]
    ours = {module for module, _ in froms if module.startswith("prosr_lightning.")}
    ours |= {f"{module}.{name.name}" for module, names in froms if module == "prosr_lightning" for name in names}
    return {name.removeprefix("prosr_lightning.") for name in ours}


def test_the_distribution_has_the_modules_that_it_imports() -> None:
    listed = {target.removeprefix("prosr_lightning/") for target in FILES.values()}
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in listed}
    sources = [source for source in FILES if source.suffix == ".py"]
    names = {name for source in sources for name in imported(source)} - {"AUTO_MODEL", "DEFAULT_MODEL"}
    assert names - modules <= ELSEWHERE
    assert modules >= {"upscale", "upscale.upscaler", "pictures.recoloring"} <= names | {"upscale"}


def test_its_dependencies_are_those_of_the_package() -> None:
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = package["optional-dependencies"]
    known = {*package["dependencies"], *extras["onnxruntime"]}
    assert set(LIGHT["project"]["dependencies"]) <= known
    assert LIGHT["project"]["optional-dependencies"]["formats"] == extras["formats"]
    assert LIGHT["project"]["requires-python"] == package["requires-python"]


def test_its_files_alone_enlarge(tmp_path: Path) -> None:
    for source, target in FILES.items():
        if source.is_file():
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, tmp_path / target)
    script = f"""{REPEATING}
import prosr_lightning
assert prosr_lightning.__file__.startswith(sys.argv[1])
print(Upscaler(Repeating()).upscale(np.full((6, 7, 4), 9, np.uint8), 3).shape)
"""
    done = process(script, str(tmp_path), package=tmp_path)
    assert (done.stdout, done.stderr) == ("(18, 21, 4)\n", "")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter warns of its own internals
@pytest.mark.timeout(900)
def test_the_installed_wheel_enlarges_as_the_package_does(tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    for folder in ("light", "src"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "LICENSE", tmp_path)
    released = tmp_path / "build" / "light" / "released"
    released.mkdir(parents=True)
    for name in released_names():
        export_network(name, tmp_path, graphs=["step"])[0].path.rename(released / f"{name}.onnx")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    subprocess.run([*build, str(tmp_path / "light")], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("prosr_upscale-*.whl")

    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    binaries = tmp_path / "venv" / "bin"
    install = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "-c", str(REPOSITORY / "constraints.txt")]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    installed = subprocess.run([*install, str(wheel)], capture_output=True, text=True, check=False, env=environment)
    if installed.returncode:
        pytest.skip(f"what the wheel needs could not be fetched: {installed.stderr[-200:]}")
    photograph = astronaut()[:120, :150]
    Image.fromarray(photograph).save(tmp_path / "clean.png")
    Image.fromarray(photograph).save(tmp_path / "strong.jpg", quality=60)

    def enlarged(*words: str) -> str:
        command = [str(binaries / "prosr-upscale"), *words, "-o", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "torch" not in {path.name for path in (tmp_path / "venv").glob("lib/*/site-packages/*")}
    packaged = (tmp_path / "venv").glob("lib/*/site-packages/prosr_lightning/released/*.onnx")
    assert sorted(path.stem for path in packaged) == list(released_names())
    assert "by prosrn_large, " in enlarged("-i", str(tmp_path / "clean.png"), "-s", "3")
    assert "by prosrn_jpeg, a JPEG of quality 60" in enlarged("-i", str(tmp_path / "strong.jpg"), "-s", "3")
    for name, model in (("clean.png", "prosrn_large"), ("strong.jpg", "prosrn_jpeg")):
        expected = Upscaler.from_pretrained(model, device="cpu").upscale(np.asarray(Image.open(tmp_path / name)), 3)
        result = np.asarray(Image.open(tmp_path / "out" / f"{Path(name).stem}_x3.png"))
        assert np.abs(result.astype(int) - expected).max() <= 1
