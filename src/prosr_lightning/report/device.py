"""What the methods cost where this is run: time and memory are measured, the rest is computed."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

from prosr_lightning.networks import NETWORKS, SRNetwork, count_layers, count_parameters, multiply_adds_per_output_pixel
from prosr_lightning.report.costs import fresh_network
from prosr_lightning.runs.record import describe_hardware
from prosr_lightning.tables import Table
from prosr_lightning.upscale.engines import choose_device

_ROUNDS, _LONG = 5, 1.0  # what takes longer than so many seconds is measured once
_SIDE = 128  # of the result that is measured
_HD = 1280 * 720  # pixels that the field states operations for


def cost_table(scale: int = 4, *, device: str = "auto", side: int = _SIDE) -> Table:
    """Measure every method with fresh weights, whole pictures in float32, by PyTorch as it is.

    Args:
        scale: Total factor.
        device: "auto", "cpu", "cuda" or "mps"; of memory only "cpu" and "cuda" tell.
        side: Of the square result, in pixels.

    Returns:
        A row for each method: parameters, layers, floating-point operations for a result of 1280 x 720 (two for each
        multiply-add), milliseconds and peak memory for one of `side` x `side`.

    Raises:
        ConfigError: If there is no such device.
    """
    place = choose_device(device)
    rows = []
    for kind in NETWORKS:
        network = fresh_network(kind, scale).folded().eval().requires_grad_(False).to(place)
        image = torch.rand(1, 1, side // scale, side // scale, generator=torch.Generator().manual_seed(0)).to(place)
        rows.append(
            (
                kind.title,
                f"{scale}x",
                f"{count_parameters(network):,}",
                str(count_layers(network)),
                f"{2 * multiply_adds_per_output_pixel(network, scale) * _HD / 1e9:,.1f}",
                f"{1000 * _seconds(network, image, scale):,.1f}",
                "n/a" if place.type == "mps" else f"{_peak_bytes(network, image, scale) / 2**20:,.1f}",
            )
        )
    hardware = describe_hardware(place)
    where = f"{hardware['device']}, {hardware['cpu']}, {hardware['threads']} threads, PyTorch {hardware['torch']}"
    titles = ("Method", "Scale", "Parameters", "Layers", "GFLOPs at 720p", "ms", "Peak MiB")
    return Table.of_text(
        titles,
        rows,
        words=2,
        title="What the methods cost",
        caption=(
            "Learned values, convolutions that exist, and operations of all convolutions for a result of 1280 x 720, "
            f"two for each multiply-add. Time (median) and peak memory beyond the weights, of a result of {side} x "
            f"{side} in float32, not in bands or tiles, on {where}."
        ),
    )


def _seconds(network: SRNetwork, image: torch.Tensor, scale: int) -> float:
    """Return the median time of a pass, after one that is not counted."""
    times: list[float] = []
    while len(times) < _ROUNDS + 1:
        begin = time.perf_counter()
        _enlarge(network, image, scale)()
        times.append(time.perf_counter() - begin)
        if times[-1] > _LONG:
            break
    return median(times[1:] or times)


def _peak_bytes(network: SRNetwork, image: torch.Tensor, scale: int) -> float:
    """Return the most bytes that a pass had allocated at once, beyond what was there before."""
    enlarge = _enlarge(network, image, scale)
    if image.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(image.device)
        before = torch.cuda.memory_allocated(image.device)
        enlarge()
        return torch.cuda.max_memory_allocated(image.device) - before
    with _without_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        enlarge()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        watched.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Keep what the profiler writes on its own, below Python, from the user's terminal."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _enlarge(network: SRNetwork, image: torch.Tensor, scale: int) -> Callable[[], None]:
    def enlarge() -> None:
        with torch.inference_mode():
            network.enlarge(image, scale)
        if image.device.type != "cpu":
            torch.cuda.synchronize() if image.device.type == "cuda" else torch.mps.synchronize()

    return enlarge
