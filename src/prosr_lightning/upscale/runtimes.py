"""Engines for exported networks: ONNX Runtime and OpenVINO, each an extra, both on the CPU."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prosr_lightning import __version__
from prosr_lightning.errors import CheckpointError, MissingDependencyError
from prosr_lightning.export import FORMATS
from prosr_lightning.export.task import RADIUS_KEY, WIDEST_KEY, export_network
from prosr_lightning.networks import Trust
from prosr_lightning.networks.weights import find_weights
from prosr_lightning.upscale.engines import bytes_per_pixel

_FORMATS = {"onnxruntime": "onnx", "openvino": "openvino"}  # that each runtime needs no other to verify

log = logging.getLogger(__name__)

Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


class ExportedEngine:
    """Run an exported 2x step; follows `engines.Engine`.

    Args:
        path: The `.onnx` (for openvino also `.xml`) that `prosr_lightning.export` wrote with `--graph step`; or
            weights as `load_network` takes them, which are exported to the cache first.
        runtime: "onnxruntime" or "openvino".
        trust: See `load_network`.

    Raises:
        MissingDependencyError: If the runtime is not installed.
        CheckpointError: If the file is no export of ours.
    """

    def __init__(self, path: str | Path, *, runtime: str, trust: Trust = ()) -> None:
        self.device = torch.device("cpu")
        path = Path(path) if Path(path).suffix in (".onnx", ".xml") else _exported(path, runtime, trust)
        self._run, metadata = _open_onnxruntime(path) if runtime == "onnxruntime" else _open_openvino(path)
        try:
            self._radius, self._widest = int(metadata[RADIUS_KEY]), int(metadata[WIDEST_KEY])
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"{path} must be a 2x step exported by prosr_lightning, but names no receptive radius; "
                "export it again with --graph step."
            ) from error

    def enlarge(self, window: Tensor, factor: int, *, exact: bool) -> Tensor:
        """Enlarge one window by 2, always in float32."""
        return torch.from_numpy(self._run(window.contiguous().numpy()))

    def streamed(self, factor: int, *, count: int, width: int) -> None:
        """Return None: an exported graph takes windows."""

    def passes(self, scale: int) -> list[tuple[int, int]]:
        """Return the factor and the halo of each pass."""
        return [(2, self._radius)] * (scale.bit_length() - 1)

    def bytes_per_pixel(self, factor: int) -> int:
        """Return a generous estimate of the memory for one pixel of the window."""
        return bytes_per_pixel(self._widest, factor)


def _exported(source: str | Path, runtime: str, trust: Trust) -> Path:
    """Return the 2x step of weights as a file in the cache, which is written on first use."""
    digest = hashlib.sha256(find_weights(source).read_bytes() + f"{__version__} {torch.__version__}".encode())
    cache = Path(os.environ.get("PROSR_CACHE_DIR", "~/.cache/prosr_lightning")).expanduser()
    folder, target = cache / "exports" / digest.hexdigest()[:16], _FORMATS[runtime]
    path = folder / f"{Path(source).stem}_step_x2{FORMATS[target]}"
    if not path.is_file():
        log.warning("%s is exported to %s, once.", source, path)
        path = export_network(str(source), folder, target=target, graphs=("step",), scale=2, trust=trust)[0].path
    return path


def _open_onnxruntime(path: Path) -> tuple[Run, Mapping[str, str]]:
    try:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise _missing("onnxruntime") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own
        raise CheckpointError(f"{path} cannot be run by onnxruntime: {error}; export it again.") from error
    name = session.get_inputs()[0].name

    def run(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return session.run(None, {name: window})[0]  # type: ignore[no-any-return,unused-ignore]  # no usable types

    return run, session.get_modelmeta().custom_metadata_map


def _open_openvino(path: Path) -> tuple[Run, Mapping[str, str]]:
    try:
        import openvino  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise _missing("openvino") from error
    try:
        core = openvino.Core()
        model = core.read_model(str(path))
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except Exception as error:  # openvino raises RuntimeErrors of many kinds
        raise CheckpointError(f"{path} cannot be run by openvino: {error}; export it again.") from error
    metadata: dict[str, str] = {}
    for key in (RADIUS_KEY, WIDEST_KEY):
        for place in ([key], ["framework", key]):  # ours in .xml; where openvino puts the metadata of ONNX
            if model.has_rt_info(place):
                metadata[key] = str(model.get_rt_info(place).value)

    def run(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return compiled(window)[0].copy()  # type: ignore[no-any-return,unused-ignore]  # no usable types

    return run, metadata


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"engine={package} needs the package {package}, which is not installed; pip install {package}."
    )
