"""Engines for exported networks: ONNX Runtime, OpenVINO and ncnn, each an extra, all on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from prosr_lightning.errors import CheckpointError, MissingDependencyError
from prosr_lightning.export import ADVERSARIAL_KEY, FEATURES_KEY, RADIUS_KEY, RESTORES_KEY, WIDEST_KEY
from prosr_lightning.export.ncnn import open_ncnn
from prosr_lightning.imaging.arrays import Planes

Run = Callable[[Planes], Planes]


class ExportedEngine:
    """Run an exported 2x step; follows `contract.Engine`.

    Args:
        path: The `.onnx` (for openvino also `.xml`, for ncnn the `.param`) that `prosr_lightning.export` wrote with
            `--graph step`.
        runtime: "onnxruntime", "openvino" or "ncnn".
        threads: Of the processor; None for as many as the runtime likes.

    Attributes:
        adversarial: Whether its weights are released ones that were trained against a discriminator.

    Raises:
        MissingDependencyError: If the runtime is not installed.
        CheckpointError: If the file is no export of ours.
    """

    def __init__(self, path: Path, *, runtime: str, threads: int | None = None) -> None:
        self.device, self.arrays = "cpu", np
        self._bytes_of_a_value = _BYTES_OF_A_VALUE[runtime]
        self._run, metadata = _OPENERS[runtime](path, threads)
        self.adversarial = metadata.get(ADVERSARIAL_KEY) == str(True)
        try:
            self._radius = int(metadata[RADIUS_KEY])
            self._features = int(metadata.get(FEATURES_KEY) or 4 * int(metadata[WIDEST_KEY]))  # as earlier files had
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"{path} must be a 2x step exported by prosr_lightning, but names no receptive radius; "
                "export it again with --graph step."
            ) from error

    def enlarge(self, window: Planes, factor: int, *, exact: bool) -> Planes:
        """Enlarge one window by 2, always in float32."""
        return self._run(np.ascontiguousarray(window))

    def streamed(self, factor: int, *, count: int, width: int) -> None:
        """Return None: an exported graph takes windows."""

    def passes(self, scale: int) -> list[tuple[int, int]]:
        """Return the factor and the halo of each pass."""
        return [(2, self._radius)] * (scale.bit_length() - 1)

    def bytes_per_pixel(self, factor: int) -> int:
        """Return a generous estimate of the memory for one pixel of the window."""
        return self._bytes_of_a_value * self._features


def restores(path: Path) -> bool:
    """Tell whether the weights of an exported `.onnx` are released ones for degraded pictures."""
    return _open_onnxruntime(path, None)[1].get(RESTORES_KEY) == str(True)


def _open_onnxruntime(path: Path, threads: int | None) -> tuple[Run, Mapping[str, str]]:
    try:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise _missing("onnxruntime") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or 0
    settings.log_severity_level = 4  # it raises what it would write
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own
        raise CheckpointError(f"{path} cannot be run by onnxruntime: {error}; export it again.") from error
    name = session.get_inputs()[0].name

    def run(window: Planes) -> Planes:
        return session.run(None, {name: window})[0]  # type: ignore[no-any-return,unused-ignore]  # no usable types

    return run, session.get_modelmeta().custom_metadata_map


def _open_openvino(path: Path, threads: int | None) -> tuple[Run, Mapping[str, str]]:
    try:
        import openvino  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise _missing("openvino") from error
    try:
        core = openvino.Core()
        model = core.read_model(str(path))
        number = {"INFERENCE_NUM_THREADS": threads} if threads else {}
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **number})
    except Exception as error:  # openvino raises RuntimeErrors of many kinds
        raise CheckpointError(f"{path} cannot be run by openvino: {error}; export it again.") from error
    metadata: dict[str, str] = {}
    for key in (RADIUS_KEY, FEATURES_KEY, WIDEST_KEY, ADVERSARIAL_KEY):
        for place in ([key], ["framework", key]):  # ours in .xml; where openvino puts the metadata of ONNX
            if model.has_rt_info(place):
                metadata[key] = str(model.get_rt_info(place).value)

    def run(window: Planes) -> Planes:
        return compiled(window)[0].copy()  # type: ignore[no-any-return,unused-ignore]  # no usable types

    return run, metadata


_OPENERS = {"onnxruntime": _open_onnxruntime, "openvino": _open_openvino, "ncnn": open_ncnn}
# of the largest features, for all that is held beside them; measured: up to 26, 14 and 49
_BYTES_OF_A_VALUE = {"onnxruntime": 28, "openvino": 20, "ncnn": 56}


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"engine={package} needs the package {package}, which is not installed; pip install {package}."
    )
