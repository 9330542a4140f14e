"""Enlarging: useful arithmetic as a fraction of what the machine can do, engines against each other, cost per pixel."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from prosr_lightning.benchmarking.comparing import Comparison, Section, compare
from prosr_lightning.benchmarking.yardstick import GIGA, convolution, matrix_product, wait
from prosr_lightning.engines import TorchEngine, choose_device
from prosr_lightning.errors import ConfigError, MissingDependencyError, ProSRError
from prosr_lightning.memory import resident_bytes
from prosr_lightning.networks import multiply_adds_per_output_pixel
from prosr_lightning.runtimes import ExportedEngine
from prosr_lightning.upscaler import Upscaler

TOLERANCE = 1e-4  # between engines; as for exported graphs
_GOALS = {"eager": 0.75, "compiled": 0.88}  # on CPU, of the matrix product
Export = Callable[[Path, str], Path]


def measure_upscaling(
    network: nn.Module,
    *,
    export: Export,
    device: str = "auto",
    size: int = 512,
    largest_megapixels: float = 24.0,
    rounds: int = 5,
    opencv_model: Path | None = None,
) -> Section:
    """Measure engines on one window, and the whole path of the upscaler from small to large pictures.

    Args:
        network: A 2x network.
        export: Writes the 2x step into a folder for "onnxruntime" or "openvino" and returns the file.
        device: See `engines.choose_device`.
        size: Side of the window, in LR pixels.
        largest_megapixels: Output of the largest picture; the smallest has 0.1.
        rounds: How often each is measured, in turns.
        opencv_model: `LapSRN_x4.pb`, to compare with OpenCV at 4x.

    Returns:
        The comparisons; what could not be measured is named.
    """
    place = choose_device(device)
    dtype = torch.float16 if place.type == "cuda" else torch.float32
    section = Section(name="upscale", settings={"size": size, "device": str(place), "dtype": str(dtype)})
    window = torch.rand(1, 1, size, size)
    reference = copy.deepcopy(network).float().eval()
    work = 2 * multiply_adds_per_output_pixel(reference, 2) * (2 * size) ** 2 / GIGA
    engines = _engines(reference, place, window, export, section)
    with torch.inference_mode():
        expected = reference(window)
        tasks: dict[str, Callable[[], float]] = {}
        for name, enlarge in engines.items():
            difference = float((enlarge(window).float().cpu() - expected).abs().max())
            if place.type == "cpu" and difference > TOLERANCE:
                raise ProSRError(f"{name} must agree with PyTorch to {TOLERANCE}, got {difference:.1e}; report it.")
            tasks[name] = _task(enlarge, window, place, work)
        tasks |= {"matrix product": matrix_product(place, dtype), "convolution": convolution(place, dtype)}
        rates = compare(tasks, rounds=rounds)
        for name in engines:
            for yardstick in ("matrix product", "convolution"):
                goal = _GOALS.get(name) if yardstick == "matrix product" and place.type == "cpu" else None
                section.comparisons.append(
                    Comparison(
                        name=f"{name} over {yardstick}",
                        unit="GFLOP/s",
                        measured=rates[name],
                        against=rates[yardstick],
                        goal=goal,
                    )
                )
    _growth(reference, place, largest_megapixels, section)
    _beside_opencv(reference, place, opencv_model, rounds, section)
    return section


def _engines(
    network: nn.Module, device: torch.device, window: Tensor, export: Export, section: Section
) -> Mapping[str, Callable[[Tensor], Tensor]]:
    eager = TorchEngine(network, device=device)
    engines: dict[str, Callable[[Tensor], Tensor]] = {"eager": lambda window: eager.enlarge(window, 2, exact=False)}
    compiled = _compiled(network, device, window, section)
    if compiled is not None:
        engines["compiled"] = compiled
    for runtime in ("onnxruntime", "openvino"):
        try:
            with tempfile.TemporaryDirectory() as folder:
                engine = ExportedEngine(export(Path(folder), runtime), runtime=runtime)
            engines[runtime] = lambda window, engine=engine: engine.enlarge(window, 2, exact=True)  # type: ignore[misc]  # a default binds it
        except MissingDependencyError as error:
            section.skipped[runtime] = str(error)
    return engines


def _compiled(
    network: nn.Module, device: torch.device, window: Tensor, section: Section
) -> Callable[[Tensor], Tensor] | None:
    """Compile with frozen weights, which lets the compiler lay them out as it likes, for one size of window."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    module = copy.deepcopy(network).to(device, dtype).to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]  # the stub lacks it
    try:
        from torch._inductor import config as inductor  # noqa: PLC0415  # absent where there is no compiler

        run: Callable[[Tensor], Tensor] = torch.compile(module, dynamic=False)

        @torch.inference_mode(mode=False)
        @torch.no_grad()
        def enlarge(window: Tensor) -> Tensor:
            with inductor.patch(freezing=True):
                return run(window.clone().to(device, dtype).contiguous(memory_format=torch.channels_last))

        enlarge(window)
    except Exception as error:  # noqa: BLE001  # compilers fail in many ways, and none must end a benchmark
        section.skipped["compiled"] = (str(error).strip() or repr(error)).splitlines()[0]
        return None
    return enlarge


def _task(
    enlarge: Callable[[Tensor], Tensor], window: Tensor, device: torch.device, work: float
) -> Callable[[], float]:
    def run() -> float:
        enlarge(window)
        wait(device)
        return work

    return run


def _growth(network: nn.Module, device: torch.device, largest: float, section: Section) -> None:
    """Measure cost per output pixel and memory of gray pictures, from 0.1 megapixels up, at 2x in tiles."""
    if not largest > 0.1:
        raise ConfigError(f"The largest picture must have more than 0.1 megapixels, got {largest}; choose e.g. 24.")
    upscaler = Upscaler.from_network(network, device=device)
    sides = [round((megapixels * 1e6) ** 0.5 / 2) for megapixels in (0.1, min(1.0, largest), largest)]
    upscaler.upscale(np.zeros((64, 64), np.uint8), 2)
    costs: list[float] = []
    for side in sorted(set(sides)):
        picture = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
        repeats = max(1, round(1e6 / (2 * side) ** 2))  # small pictures as often as makes up a large one
        before, begun = resident_bytes(), time.perf_counter()
        for _ in range(repeats):
            upscaler.upscale(picture, 2)
        costs.append((time.perf_counter() - begun) / repeats / (2 * side) ** 2)
        megapixels = (2 * side) ** 2 / 1e6
        section.values[f"microseconds per output pixel at {megapixels:.1f} MP"] = costs[-1] * 1e6
        section.values[f"MiB more of memory after {megapixels:.1f} MP"] = max(0, resident_bytes() - before) / 2**20
    section.values["cost per pixel, largest over smallest picture"] = costs[-1] / costs[0]


def _beside_opencv(network: nn.Module, device: torch.device, model: Path | None, rounds: int, section: Section) -> None:
    if model is None:
        section.skipped["OpenCV dnn_superres"] = "its model must be given: --opencv-model LapSRN_x4.pb"
        return
    try:
        import cv2  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # for the comparison alone

        peer = cv2.dnn_superres.DnnSuperResImpl_create()
        peer.readModel(str(model))
        peer.setModel("lapsrn", 4)
    except (ImportError, AttributeError) as error:
        section.skipped["OpenCV dnn_superres"] = f"pip install opencv-contrib-python-headless ({error})"
        return
    except Exception as error:  # cv2.error has no stable class
        raise ConfigError(f"--opencv-model must be a LapSRN_x4.pb, got {model}: {error}; choose another.") from error
    upscaler = Upscaler.from_network(network, device=device)
    picture = np.random.default_rng(0).integers(0, 256, (180, 240, 3), dtype=np.uint8)
    pixels = float(picture.shape[0] * picture.shape[1] * 16)

    def ours() -> float:
        upscaler.upscale(picture, 4)
        return pixels

    def theirs() -> float:
        peer.upsample(picture)
        return pixels

    rates = compare({"ours": ours, "theirs": theirs}, rounds=rounds)
    section.comparisons.append(
        Comparison(
            name="4x over OpenCV dnn_superres LapSRN",
            unit="output pixels/s",
            measured=rates["ours"],
            against=rates["theirs"],
            goal=1.0,
        )
    )
