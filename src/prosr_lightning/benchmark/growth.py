"""Whether enlarging costs the same for each pixel of small and large pictures, and how much memory it takes."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from prosr_lightning.benchmark.comparing import Section, Task, compare
from prosr_lightning.benchmark.yardstick import repeated
from prosr_lightning.networks import SRNetwork
from prosr_lightning.upscale.memory import forget_peak, peak_bytes
from prosr_lightning.upscale.upscaler import Upscaler

SMALLEST = 0.1  # megapixels of the result
_BETWEEN = (0.5, 2.0, 8.0)
_LEAST_WORK = 1e6  # output pixels of a turn: small pictures are repeated until they make up as many


def measure_growth(
    network: SRNetwork, device: torch.device, *, largest_megapixels: float, rounds: int, section: Section
) -> None:
    """Measure cost per output pixel and peak memory of gray pictures at 2x, in tiles, as a user's are.

    Each picture is first enlarged once for its memory, and then in turns with the others for its time.

    Args:
        network: A 2x network.
        device: Where.
        largest_megapixels: Output of the largest picture, more than the 0.1 of the smallest.
        rounds: How often each is measured.
        section: Takes the results.
    """
    upscaler = Upscaler.from_network(network, device=device)
    tasks: dict[str, Task] = {}
    section.values["MiB held before"] = _peak(device, lambda: None)
    for megapixels in (SMALLEST, *(size for size in _BETWEEN if size < largest_megapixels), largest_megapixels):
        name = f"{megapixels:g} MP"
        side = round((megapixels * 1e6) ** 0.5 / 2)
        picture = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
        enlarge, pixels = partial(upscaler.upscale, picture, 2), 4 * picture.size
        section.values[f"MiB at the peak, {name}"] = _peak(device, enlarge)
        tasks[name] = repeated(enlarge, device, amount=pixels, times=max(1, round(_LEAST_WORK / pixels)))
    rates = compare(tasks, rounds=rounds, warm_up=False)
    costs = {name: 1e6 / statistics.median(values) for name, values in rates.items()}
    section.values |= {f"microseconds per output pixel, {name}": cost for name, cost in costs.items()}
    smallest, *others = rates
    for name in others:
        # cost is one over rate
        section.add(f"cost per pixel, {name} over {smallest}", "output pixels/s", rates[smallest], rates[name])
    section.values["cost per pixel, largest over smallest picture"] = section.comparisons[-1].ratio
    section.values["cost per pixel, dearest over cheapest picture"] = max(costs.values()) / min(costs.values())


def _peak(device: torch.device, task: Callable[[], object]) -> float:
    """Return the MiB that were held at most while a task ran, those of everything before it included."""
    forget_peak(device)
    task()
    return peak_bytes(device) / 2**20
