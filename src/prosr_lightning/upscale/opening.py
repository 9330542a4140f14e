"""Finding a network and opening the engine that runs it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.released import find_weights
from prosr_lightning.upscale.contract import ENGINES, FASTEST, Engine, default_engine
from prosr_lightning.upscale.runtimes import ExportedEngine

if TYPE_CHECKING:
    import torch

    from prosr_lightning.networks import Trust

_EXPORTED = (".onnx", ".xml", ".param")
_ONNX = ("onnx", "onnxscript")
_EXPORTING = {  # what an engine and the export for it need
    "onnxruntime": (*_ONNX, "onnxruntime"),
    "openvino": (*_ONNX, "openvino"),
    "ncnn": ("pnnx", "ncnn"),
}
_FULL = "prosr-lightning"  # the distribution that brings PyTorch


def open_engine(
    name_or_path: str | Path,
    engine: str | None,
    *,
    denoise: float | None = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    threads: int | None = None,
    trust: Trust = (),
) -> tuple[Engine[Any], bool]:
    """Return what runs a network, and whether that was trained against a discriminator.

    The arguments and errors are those of `Upscaler.from_pretrained`.
    """
    engine = default_engine() if engine is None else engine
    if engine not in (FASTEST, *ENGINES):
        options = ", ".join((FASTEST, *ENGINES))
        raise ConfigError(f"`engine` must be one of {options}, got {engine!r}; choose one of them.")
    if engine == FASTEST:
        special = _special(denoise=denoise, device=str(device), precision=precision)
        engine = default_engine() if special else _fastest(name_or_path, threads, trust)
    if engine != "torch":
        _require_plain(engine, denoise=denoise, device=str(device), precision=precision)
        exported = ExportedEngine(_exported(name_or_path, engine, trust), runtime=engine, threads=threads)
        return exported, exported.adversarial
    with _needing_pytorch("The engine torch"):
        import torch  # noqa: PLC0415  # not everywhere

        from prosr_lightning.networks.blending import blended  # noqa: PLC0415  # likewise
        from prosr_lightning.networks.weights import load_network  # noqa: PLC0415  # likewise
        from prosr_lightning.upscale.engines import TorchEngine  # noqa: PLC0415  # likewise
    if threads is not None:
        torch.set_num_threads(threads)
    if denoise is not None:
        return TorchEngine(blended(str(name_or_path), denoise), device=device, precision=precision), False
    loaded = load_network(name_or_path, trust=trust)
    return TorchEngine(loaded.network, device=device, precision=precision), loaded.adversarial


def _fastest(name_or_path: str | Path, threads: int | None, trust: Trust) -> str:
    from prosr_lightning.upscale.fastest import fastest_engine  # noqa: PLC0415  # for this alone

    def make(engine: str) -> Engine[Any]:
        return open_engine(name_or_path, engine, threads=threads, trust=trust)[0]

    return fastest_engine(make, find_weights(name_or_path), threads=threads)


def _exported(name_or_path: str | Path, engine: str, trust: Trust) -> Path:
    """Return the file that an engine for exported networks runs."""
    file = find_weights(name_or_path)
    if file.suffix in _EXPORTED and (engine != "ncnn" or file.suffix == ".param"):
        return file
    with _needing_pytorch(f"{name_or_path}, which is not exported yet,"):
        from prosr_lightning.export.task import cached_step  # noqa: PLC0415  # imports torch
    missing = [name for name in _EXPORTING[engine] if not importlib.util.find_spec(name)]
    if missing:
        raise MissingDependencyError(
            f"engine={engine} needs {', '.join(missing)} for {name_or_path}, not installed; pip install "
            f"{' '.join(missing)}."
        )
    return cached_step(name_or_path, target="ncnn" if engine == "ncnn" else "onnx", trust=trust)


def _require_plain(engine: str, *, denoise: float | None, device: str, precision: str) -> None:
    """Raise ConfigError if something is asked for that PyTorch alone can do."""
    for name in _special(denoise=denoise, device=device, precision=precision):
        where = "" if default_engine() == "torch" else f", which comes with {_FULL}"
        raise ConfigError(f"`{name}` needs the engine torch{where}, got {engine!r}; leave one of them out.")


def _special(*, denoise: float | None, device: str, precision: str) -> list[str]:
    """Return the names of the settings that PyTorch alone can do."""
    fitting = {"denoise": denoise is None, "device": device in ("auto", "cpu")}
    fitting[f"precision={precision}"] = precision in ("auto", "float32")
    return [name for name, fits in fitting.items() if not fits]


@contextmanager
def _needing_pytorch(subject: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{subject} needs PyTorch, which is not installed; pip install {_FULL} in an environment of its own."
        ) from error
