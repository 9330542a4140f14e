"""Write a network as graphs for other programs, and verify them."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from prosr_lightning.errors import MissingDependencyError, ProSRError
from prosr_lightning.export import ADVERSARIAL_KEY, FEATURES_KEY, FORMATS, GRAPHS, RADIUS_KEY, RESTORES_KEY, STEP_ALONE
from prosr_lightning.export.graphs import LuminanceStep, RgbChain
from prosr_lightning.export.ncnn import open_ncnn, write_ncnn
from prosr_lightning.imaging.io import atomic_path, user_cache, write_file
from prosr_lightning.networks import Trust
from prosr_lightning.networks.complexity import largest_features
from prosr_lightning.networks.weights import LoadedNetwork, load_network

TOLERANCE = 1e-4  # a fortieth of an 8-bit level; float32 kernels of different runtimes differ by some 1e-6
_OPSET = 18
_SIZES = ((1, 17, 26), (3, 40, 9), (1, 1, 5))  # N, H, W to verify with: none is the size that is traced

Run = Callable[[Tensor], Tensor]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """A file that was written and how far its results are from PyTorch's."""

    path: Path
    difference: float


def export_network(
    name_or_path: str,
    folder: Path,
    *,
    target: str = "onnx",
    graphs: Sequence[str] = GRAPHS,
    scale: int = 4,
    trust: Trust = (),
) -> list[Exported]:
    """Write the graphs of a network and verify each on sizes that it was not traced with.

    Args:
        name_or_path: As `weights.load_network`.
        folder: Where the files go: `<name>_step_x2.onnx`, `<name>_rgb_x4.onnx`, ...
        target: "onnx", "torch" (a `.pt2` of torch.export), "openvino" (`.xml` and `.bin`) or "web" (`.onnx` and the
            `.json` that docs/demo reads: how to tile, and values to check a browser's arithmetic by) or "ncnn" (its
            `.param` and `.bin`, and our facts in `.json`).
        graphs: Some of "step" and "rgb"; see `graphs`.
        scale: Total factor of the rgb graph.
        trust: As `weights.load_network`.

    Raises:
        CheckpointError: As `weights.load_network`.
        MissingDependencyError: If a package that the format needs is not installed.
        ProSRError: If the results differ from PyTorch's.
        StorageError: If the folder cannot be written.
    """
    loaded = load_network(name_or_path, trust=trust)
    network = loaded.network.requires_grad_(False).folded()
    factor = network.passes(scale)[0][0]
    written: list[Exported] = []
    for graph in graphs:
        step = graph == "step"
        module = LuminanceStep(network, factor=factor) if step else RgbChain(network, scale=scale)
        total, channels = (factor, 1) if step else (scale, 3)
        path = folder / f"{Path(name_or_path).stem}_{graph}_x{total}{FORMATS[target]}"
        if target in STEP_ALONE and not (step and total == 2):
            raise ProSRError(f"{path.name} needs a network that repeats one 2x step, got one of x{total}.")
        run = _WRITERS[target](module.eval(), channels, path, _facts(loaded, graph, total))
        difference = _largest_difference(module, run, channels)
        if not difference <= TOLERANCE:
            raise ProSRError(f"{path} must agree with PyTorch to {TOLERANCE}, got {difference:.2e}; report it.")
        written.append(Exported(path, difference))
    return written


def cached_step(name_or_path: str | Path, *, target: str = "onnx", trust: Trust = ()) -> Path:
    """Return the step of a network as a file in the user's cache, exported when it is first asked for.

    Args:
        name_or_path: As `weights.load_network`.
        target: See `export_network`.
        trust: As `weights.load_network`.

    Raises:
        CheckpointError, MissingDependencyError, ProSRError, StorageError: As `export_network`.
    """
    loaded = load_network(name_or_path, trust=trust)
    digest = hashlib.sha256(f"{_OPSET} {json.dumps(_facts(loaded, 'step', 2))}".encode())
    for key, value in sorted(loaded.network.state_dict().items()):
        digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
    folder = user_cache() / "exported" / digest.hexdigest()[:20]
    exported = next(folder.glob(f"*{FORMATS[target]}"), None)
    if exported is None:
        log.warning("Exporting %s into %s, once.", name_or_path, folder)
        exported = export_network(str(name_or_path), folder, target=target, graphs=["step"], trust=trust)[0].path
    return exported


def _facts(loaded: LoadedNetwork, graph: str, total: int) -> dict[str, str]:
    """Return what travels in the file, as texts."""
    network = loaded.network
    facts = {
        "prosr_graph": graph,
        "prosr_scale": str(total),
        "prosr_architecture": json.dumps(network.architecture),
        ADVERSARIAL_KEY: str(loaded.adversarial),
        RESTORES_KEY: str(loaded.degradation is not None),
    }
    # only the repeated 2x step can be tiled pass by pass, which is what engines do with the radius
    tiled = graph == "step" and total == 2
    if not tiled:
        return facts
    return {**facts, RADIUS_KEY: str(network.receptive_radius), FEATURES_KEY: str(largest_features(network, 2))}


def _largest_difference(module: nn.Module, run: Run, channels: int) -> float:
    generator = torch.Generator().manual_seed(0)
    differences = list[float]()
    for count, height, width in _SIZES:
        image = torch.rand(count, channels, height, width, generator=generator)
        with torch.inference_mode():
            differences.append(float((module(image) - run(image)).abs().max()))
    return max(differences)


def _traced(module: nn.Module, channels: int) -> tuple[tuple[Tensor], dict[int, object]]:
    """Return an example input and which of its axes may change."""
    axes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    return (torch.rand(2, channels, 24, 20),), dict(axes)


def _write_torch(module: nn.Module, channels: int, path: Path, facts: dict[str, str]) -> Run:
    example, axes = _traced(module, channels)
    with _translating(path):
        program = torch.export.export(module, example, dynamic_shapes=(axes,))
        with atomic_path(path) as temporary:
            torch.export.save(program, temporary, extra_files=facts)
        return cast(Run, torch.export.load(path).module())


def _write_onnx(module: nn.Module, channels: int, path: Path, facts: dict[str, str]) -> Run:
    with atomic_path(path) as temporary:
        _onnx(module, channels, temporary, facts)
    return run_onnx(path)


def run_onnx(path: Path) -> Run:
    """Return what runs an ONNX file on tensors, by ONNX Runtime.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    session = _package("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: torch.from_numpy(session.run(None, {name: image.numpy()})[0])


def _write_openvino(module: nn.Module, channels: int, path: Path, facts: dict[str, str]) -> Run:
    openvino = _package("openvino")
    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        _onnx(module, channels, Path(folder) / "graph.onnx", facts)
        model = core.read_model(str(Path(folder) / "graph.onnx"))
        for key, value in facts.items():
            model.set_rt_info(value, [key])
        # two files: the weights first, so that a readable .xml always has its .bin
        openvino.save_model(model, str(Path(folder) / path.name), compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            write_file(path.with_suffix(suffix), (Path(folder) / path.name).with_suffix(suffix).read_bytes())
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda image: torch.from_numpy(compiled(image.numpy())[0].copy())


def _write_web(module: nn.Module, channels: int, path: Path, facts: dict[str, str]) -> Run:
    run = _write_onnx(module, channels, path, facts)
    image = torch.rand(1, 1, 12, 10, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        values = {"input": image, "output": module(image)}
    check = {"dims": list(image.shape)} | {
        key: [round(number, 6) for number in tensor.flatten().tolist()] for key, tensor in values.items()
    }
    described = {"model": path.name, "radius": int(facts[RADIUS_KEY]), "check": check}
    with atomic_path(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(described), encoding="utf-8")
    return run


def _write_ncnn(module: nn.Module, channels: int, path: Path, facts: dict[str, str]) -> Run:
    with _translating(path):
        traced = torch.jit.trace(module, torch.rand(1, channels, 24, 20), check_trace=False)  # type: ignore[no-untyped-call]  # torch's own
        write_ncnn(traced, path, facts)
    run, _ = open_ncnn(path)
    return lambda image: torch.from_numpy(run(image.numpy()))


_WRITERS = {
    "torch": _write_torch,
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "web": _write_web,
    "ncnn": _write_ncnn,
}


def _onnx(module: nn.Module, channels: int, path: Path, facts: dict[str, str]) -> None:
    onnx = _package("onnx")
    _package("onnxscript")  # torch.onnx needs it
    example, axes = _traced(module, channels)
    with _translating(path):
        torch.onnx.export(
            module,
            example,
            str(path),
            dynamo=True,
            dynamic_shapes=(axes,),
            input_names=["input"],
            output_names=["output"],
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, str(path))


def _package(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  # a module, of packages that may be absent
    try:
        return __import__(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"This format needs the package {name}, which is not installed; pip install {name}."
        ) from error


@contextmanager
def _translating(path: Path) -> Iterator[None]:
    """Silence the exporter, which warns of its own internals, and name the file when it gives up."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ProSRError, OSError):
        raise
    except Exception as error:  # the exporters raise classes of their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ProSRError(
            f"{path.name} needs a network that can be exported, but: {reason}; try another format."
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
