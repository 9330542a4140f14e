"""Enlarging beside another program: LapSRN in OpenCV, at 4x."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from prosr_lightning.benchmark.comparing import Section, compare
from prosr_lightning.benchmark.yardstick import repeated
from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.export import export_network
from prosr_lightning.networks import SRNetwork
from prosr_lightning.networks.compared import LapSRN
from prosr_lightning.networks.weights import save_network
from prosr_lightning.upscale.upscaler import Upscaler

OPENCV = "opencv"  # as an engine
_NAME = "OpenCV"
_SCALE = 4
_SIZE = (180, 240)

Picture = npt.NDArray[np.uint8]
Peer = Callable[[Picture], object]


def measure_beside_opencv(
    network: SRNetwork, device: torch.device, *, model: Path | None, rounds: int, section: Section
) -> None:
    """Compare output pixels per second of a picture at 4x.

    With a model, OpenCV's `dnn_superres` enlarges a colour picture with it. Without one its `dnn`, which that module
    runs on, enlarges the luminance alone, by a LapSRN of the same layers with random weights: as much arithmetic, and
    none of the colour.

    Args:
        network: A 2x network.
        device: Where ours runs; OpenCV's is on the CPU, with as many threads as PyTorch.
        model: `LapSRN_x4.pb`.
        rounds: How often each is measured, in turns.
        section: Takes the comparison, or the reason why there is none.

    Raises:
        ConfigError: If OpenCV cannot read the model.
    """
    shape = _SIZE if model is None else (*_SIZE, 3)
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        peer = _dnn() if model is None else _dnn_superres(model)
    except (ImportError, AttributeError, MissingDependencyError) as error:
        section.skipped[_NAME] = f"pip install opencv-contrib-python-headless onnx onnxscript onnxruntime ({error})"
        return
    upscaler = Upscaler.from_network(network, device=device)
    work = {"ours": partial(upscaler.upscale, picture, _SCALE), "theirs": partial(peer, picture)}
    pixels = _SIZE[0] * _SIZE[1] * _SCALE**2
    tasks = {name: repeated(enlarge, device, amount=pixels, times=1) for name, enlarge in work.items()}
    rates = compare(tasks, rounds=rounds)
    what = "dnn with LapSRN's layers" if model is None else "dnn_superres with LapSRN"
    section.add(f"4x over OpenCV's {what}", "output pixels/s", rates["ours"], rates["theirs"], goal=1.0)


def export_graph(network: SRNetwork, folder: Path, target: str, scale: int) -> Path:
    """Write a network into a folder as a graph for "onnx" or "openvino", and return the file."""
    weights = folder / "network.safetensors"
    save_network(weights, network)
    return export_network(str(weights), folder, target=target, graphs=["step"], scale=scale)[0].path


def opencv_step(graph: Path, window: torch.Tensor) -> Callable[[], object]:
    """Return what runs an exported graph on a window, in OpenCV's `dnn` with as many threads as PyTorch."""
    network, image = _opencv().dnn.readNetFromONNX(str(graph)), window.numpy()

    def enlarge() -> object:
        network.setInput(image)
        return network.forward()

    return enlarge


def _dnn() -> Peer:
    with tempfile.TemporaryDirectory() as folder:
        network = _opencv().dnn.readNetFromONNX(str(export_graph(LapSRN(scale=_SCALE), Path(folder), "onnx", _SCALE)))

    def enlarge(picture: Picture) -> object:
        network.setInput(picture[None, None].astype(np.float32) / 255)
        return network.forward()

    return enlarge


def _dnn_superres(model: Path) -> Peer:
    peer = _opencv().dnn_superres.DnnSuperResImpl_create()
    try:
        peer.readModel(str(model))
        peer.setModel("lapsrn", _SCALE)
    except Exception as error:  # cv2.error has no stable class
        reason = " ".join(str(error).split())
        raise ConfigError(f"--opencv-model must be a LapSRN_x4.pb, got {model}: {reason}; choose another.") from error
    return cast(Peer, peer.upsample)


def _opencv() -> Any:  # noqa: ANN401  # OpenCV ships no types for it
    import cv2  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # for the comparison alone

    cv2.setNumThreads(torch.get_num_threads())
    return cv2
