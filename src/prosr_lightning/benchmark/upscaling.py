"""Enlarging: useful arithmetic as a fraction of what the machine can do, and engines against each other."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from prosr_lightning.benchmark.comparing import Section, compare
from prosr_lightning.benchmark.growth import measure_growth
from prosr_lightning.benchmark.peer import OPENCV, export_graph, measure_beside_opencv, opencv_step
from prosr_lightning.benchmark.yardstick import (
    BETTER,
    CONVOLUTION,
    GIGA,
    PRODUCT,
    convolution,
    matrix_product,
    repeated,
    yardstick_dtype,
)
from prosr_lightning.errors import MissingDependencyError, ProSRError
from prosr_lightning.networks import SRNetwork, multiply_adds_per_output_pixel
from prosr_lightning.networks.compared import FSRCNN, LapSRN
from prosr_lightning.networks.contract import channels_last, most_channels
from prosr_lightning.upscale.chain import Chain
from prosr_lightning.upscale.engines import TorchEngine, choose_device
from prosr_lightning.upscale.runtimes import ExportedEngine

TOLERANCE = 1e-4  # between engines; as for exported graphs
_LEAST_WORK = 60_000  # LR pixels of a turn: small pictures are repeated until they make up as many
_NARROW = "eager, bfloat16"
_GOALS = {"eager": 0.75, "openvino": 0.88}  # on CPU, of the matrix product: the default, and the fastest in float32
Enlarge = Callable[[Tensor], Tensor]


def measure_upscaling(
    network: SRNetwork,
    *,
    device: str | torch.device = "auto",
    size: int = 512,
    largest_megapixels: float = 24.0,
    rounds: int = 5,
    opencv_model: Path | None = None,
) -> Section:
    """Measure engines on one window, and the whole path of the upscaler from small to large pictures.

    Args:
        network: A 2x network.
        device: See `engines.choose_device`.
        size: Side of the window, in LR pixels.
        largest_megapixels: Output of the largest picture, more than the 0.1 of the smallest.
        rounds: How often each is measured, in turns.
        opencv_model: `LapSRN_x4.pb`, to compare with OpenCV's `dnn_superres` at 4x; see `peer`.

    Returns:
        The comparisons; what could not be measured is named.

    Raises:
        ConfigError: If there is no such device, or OpenCV cannot read the model.
        ProSRError: If an engine does not agree with PyTorch.
    """
    place = choose_device(device)
    half = torch.float16 if place.type == "cuda" else torch.float32
    section = Section(
        name="upscale",
        settings={
            "size": size,
            "device": str(place),
            "dtype": str(half),
            "dtype_of_yardsticks": str(yardstick_dtype(place)),
            "largest_megapixels": largest_megapixels,
        },
    )
    reference = copy.deepcopy(network).float().eval().requires_grad_(False)
    # first, while no engine has filled the memory
    measure_growth(reference, place, largest_megapixels=largest_megapixels, rounds=rounds, section=section)
    window = torch.rand(1, 1, size, size)
    with torch.inference_mode():
        engines = _engines(reference, place, half, window, section)
        _check_agreement(engines, window, reference(window), section, strict=place.type == "cpu")
        _compare_with_yardsticks(engines, reference, window, place, rounds, section)
    measure_beside_opencv(reference, place, model=opencv_model, rounds=rounds, section=section)
    return section


def measure_networks(
    networks: Mapping[str, SRNetwork],
    *,
    device: str | torch.device = "auto",
    size: int = 512,
    rounds: int = 5,
    engines: Sequence[str] = (),
    graphs: Sequence[Path] = (),
) -> Section:
    """Measure the time of one 2x step of several networks, each enlarging as the upscaler does.

    Args:
        networks: By name, with the one to compare with first.
        device: See `engines.choose_device`.
        size: Side of the picture, in LR pixels.
        rounds: How often each is measured, in turns.
        engines: Others than PyTorch to measure each network with, by as many threads; with "opencv", its `dnn` runs the
            layers of FSRCNN and LapSRN with random weights too.
        graphs: Exported steps to measure by ONNX Runtime, such as those in 8 bits.

    Returns:
        The rate of the first network over that of each other, which is the other's time with the first's being 1; and
        the useful arithmetic of each over that of a 3x3 convolution of its width alone. What could not be measured is
        named.
    """
    place, window = choose_device(device), torch.rand(1, 1, size, size)
    section = Section(name="networks", settings={"size": size, "device": str(place)})
    enlarged: dict[str, tuple[str, Callable[[], object]]] = {}  # by what is measured: the network, and how
    for name, network in networks.items():
        enlarged[name] = name, partial(_by_default, TorchEngine(network, device=place), window)
        for engine in engines:
            with _skipping(section, f"{name} by {engine}"):
                enlarged[f"{name} by {engine}"] = name, _by(engine, network, window)
    for path in graphs:
        enlarged[path.name] = "", _by_runtime("onnxruntime", path, window)
    if OPENCV in engines:
        for network in (FSRCNN(scale=2), LapSRN(scale=2)):
            with _skipping(section, f"{network.title} by {OPENCV}"):
                enlarged[f"{network.title}'s layers by {OPENCV}"] = "", _by(OPENCV, network, window)
    megapixels, times = 4 * window.numel() / 1e6, max(1, round(_LEAST_WORK / window.numel()))
    tasks = {name: repeated(enlarge, place, amount=megapixels, times=times) for name, (_, enlarge) in enlarged.items()}
    widths = {most_channels(network) for network in networks.values()}
    tasks |= {str(width): convolution(place, torch.float32, channels=width) for width in widths}
    rates = compare(tasks, rounds=rounds)
    first, *others = enlarged
    for name in others:
        section.add(f"time of {name}, that of {first} being 1", "megapixels/s", rates[first], rates[name])
    for name, (network_name, _) in enlarged.items():
        if network_name:
            width = most_channels(networks[network_name])
            work = 2e6 / GIGA * multiply_adds_per_output_pixel(networks[network_name], 2)
            arithmetic = tuple(rate * work for rate in rates[name])
            section.add(f"{name} over a 3x3 convolution of {width}", "GFLOP/s", arithmetic, rates[str(width)])
    return section


def _by(engine: str, network: SRNetwork, window: Tensor) -> Callable[[], object]:
    """Return what enlarges a picture by another engine, as the upscaler does where it has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = export_graph(network, Path(folder), engine if engine == "ncnn" else "onnx", 2)
        if engine == OPENCV:
            return opencv_step(path, window)
        return _by_runtime(engine, path, window)


def _by_runtime(engine: str, path: Path, window: Tensor) -> Callable[[], object]:
    runs = ExportedEngine(path, runtime=engine, threads=torch.get_num_threads())
    return partial(Chain(runs, scale=2, exact=True).image, window.numpy())


@contextmanager
def _skipping(section: Section, name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:  # MissingDependencyError among them
        section.skipped[name] = f"not installed: {error}"


def _engines(
    network: SRNetwork, device: torch.device, dtype: torch.dtype, window: Tensor, section: Section
) -> Mapping[str, Enlarge]:
    eager = TorchEngine(network, device=device)
    engines: dict[str, Enlarge] = {"eager": lambda window: _by_default(eager, window)}
    if device.type == "cpu":
        narrow = TorchEngine(network, device=device, precision="bfloat16")
        engines[_NARROW] = lambda window: _by_default(narrow, window)
    if eager.streamed(2, count=1, width=window.shape[-1]) is not None:
        engines["eager, one window"] = lambda window: eager.enlarge(window, 2, exact=False)
    compiled = _compiled(network, device, dtype, window, section)
    if compiled is not None:
        engines["compiled"] = compiled
    for runtime, target in (("onnxruntime", "onnx"), ("openvino", "openvino")):
        try:
            with tempfile.TemporaryDirectory() as folder:
                engine = ExportedEngine(export_graph(network, Path(folder), target, 2), runtime=runtime)
            engines[runtime] = partial(_exported, engine)
        except MissingDependencyError as error:
            section.skipped[runtime] = str(error)
    return engines


def _exported(engine: ExportedEngine, window: Tensor) -> Tensor:
    return torch.from_numpy(engine.enlarge(window.numpy(), 2, exact=True))


def _by_default(engine: TorchEngine, image: Tensor) -> Tensor:
    """Enlarge as the upscaler does."""
    return Chain(engine, scale=2, tile="auto" if engine.device.type == "cpu" else 0, exact=False).image(image)


def _compiled(
    network: SRNetwork, device: torch.device, dtype: torch.dtype, window: Tensor, section: Section
) -> Enlarge | None:
    """Compile with frozen weights, which lets the compiler lay them out as it likes, for one size of window."""
    module = channels_last(copy.deepcopy(network).to(device, dtype))
    try:
        from torch._inductor import config as inductor  # noqa: PLC0415  # absent where there is no compiler

        run: Enlarge = torch.compile(module, dynamic=False)

        @torch.inference_mode(mode=False)
        @torch.no_grad()
        def enlarge(window: Tensor) -> Tensor:
            with inductor.patch(freezing=True):
                return run(window.clone().to(device, dtype).contiguous(memory_format=torch.channels_last))

        enlarge(window)
    except Exception as error:  # noqa: BLE001  # compilers fail in many ways, and none must end a benchmark
        reason = str(error).removeprefix("backend='inductor' raised:").strip() or repr(error)  # before torch 2.7
        section.skipped["compiled"] = reason.splitlines()[0]
        return None
    return enlarge


def _check_agreement(
    engines: Mapping[str, Enlarge], window: Tensor, expected: Tensor, section: Section, *, strict: bool
) -> None:
    """Note how far each engine is from PyTorch in float32; half precision may be further."""
    for name, enlarge in engines.items():
        difference = float((enlarge(window).float().cpu() - expected).abs().max())
        section.values[f"largest difference from PyTorch, {name}"] = difference
        if strict and name != _NARROW and not difference <= TOLERANCE:
            raise ProSRError(f"{name} must agree with PyTorch to {TOLERANCE}, got {difference:.1e}; report it.")


def _compare_with_yardsticks(
    engines: Mapping[str, Enlarge],
    network: SRNetwork,
    window: Tensor,
    device: torch.device,
    rounds: int,
    section: Section,
) -> None:
    work = 2 * multiply_adds_per_output_pixel(network, 2) * 4 * window.numel() / GIGA
    dtype = yardstick_dtype(device)
    times = 1 if device.type == "cpu" else 20
    tasks = {PRODUCT: matrix_product(device, dtype), CONVOLUTION: convolution(device, dtype)}
    for name, enlarge in engines.items():
        tasks[name] = repeated(partial(enlarge, window), device, amount=work, times=times)
    rates = compare(tasks, rounds=rounds)
    rates[BETTER] = tuple(max(pair) for pair in zip(rates[PRODUCT], rates[CONVOLUTION], strict=True))
    for name in engines:
        for yardstick in (PRODUCT, CONVOLUTION, BETTER):
            goal = _GOALS.get(name) if yardstick == PRODUCT and device.type == "cpu" else None
            section.add(f"{name} over {yardstick}", "GFLOP/s", rates[name], rates[yardstick], goal=goal)
