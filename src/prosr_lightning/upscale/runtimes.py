"""Engines for exported networks: ONNX Runtime and OpenVINO, each an extra, both on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prosr_lightning.errors import CheckpointError, MissingDependencyError
from prosr_lightning.export import RADIUS_KEY, WIDEST_KEY
from prosr_lightning.upscale.engines import bytes_per_pixel

Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


class ExportedEngine:
    """Run an exported 2x step; follows `engines.Engine`.

    Args:
        path: The `.onnx` (for openvino also `.xml`) that `prosr_lightning.export` wrote with `--graph step`.
        runtime: "onnxruntime" or "openvino".

    Raises:
        MissingDependencyError: If the runtime is not installed.
        CheckpointError: If the file is no export of ours.
    """

    def __init__(self, path: Path, *, runtime: str) -> None:
        self.device = torch.device("cpu")
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
