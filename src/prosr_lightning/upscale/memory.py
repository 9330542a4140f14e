"""How much memory is free, how large a tile fits into it, and how much was held."""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prosr_lightning.imaging.tiling import SMALLEST_TILE

if TYPE_CHECKING:
    import torch

_MIB = 1 << 20
_UNKNOWN = 512 * _MIB  # assumed free where the system does not tell
_LARGEST_BUDGET = {"cpu": 256 * _MIB}  # larger windows leave the CPU's cache: 4.7 us a pixel at 256, 5.5 at 512
_LARGEST_BUDGET_ELSEWHERE = 8192 * _MIB  # an accelerator is busy long before this


def kind_of(device: torch.device | str) -> str:
    """Return what a device is, without its number: "cpu", "cuda", "mps"."""
    return str(device).partition(":")[0]


def free_memory(device: torch.device | str) -> int | None:
    """Return the bytes free on a device, or None where they cannot be known."""
    if kind_of(device) == "cuda":
        import torch  # noqa: PLC0415  # which made the device

        return int(torch.cuda.mem_get_info(device)[0])
    if kind_of(device) != "cpu":
        return None
    known = [value for value in (_available_on_host(), _left_to_container()) if value is not None]
    return min(known, default=None)


def automatic_tile(device: torch.device | str, *, bytes_per_pixel: int, halo: int) -> int:
    """Return the side of the largest tile that surely fits.

    Args:
        device: Where the network runs.
        bytes_per_pixel: What the network needs for one pixel of its input.
        halo: Pixels added around each tile.

    Returns:
        Pixels, at least 16.
    """
    free = free_memory(device) or _UNKNOWN
    budget = min(free // 2, _LARGEST_BUDGET.get(kind_of(device), _LARGEST_BUDGET_ELSEWHERE))
    return max(math.isqrt(budget // bytes_per_pixel) - 2 * halo, SMALLEST_TILE)


def _available_on_host() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        pass
    return None


def _left_to_container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    try:
        limit = (folder / "memory.max").read_text().strip()
        return None if limit == "max" else max(int(limit) - int((folder / "memory.current").read_text()), 0)
    except (OSError, ValueError):  # no control groups of version 2
        return None


def forget_peak(device: torch.device | str) -> None:
    """Begin anew to look for the peak of `peak_bytes`; without effect where the system cannot."""
    if kind_of(device) == "cuda":
        import torch  # noqa: PLC0415  # which made the device

        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_bytes(device: torch.device | str) -> int:
    """Return the most memory that this process held at once: on CUDA the device's, else the machine's.

    Returns:
        Bytes since `forget_peak`, or since the start of the process where that has no effect; 0 where unknown.
    """
    if kind_of(device) == "cuda":
        import torch  # noqa: PLC0415  # which made the device

        return int(torch.cuda.max_memory_allocated(device))
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        pass
    return _peak_of_the_whole_process()


def _peak_of_the_whole_process() -> int:
    try:
        import resource  # noqa: PLC0415  # not on Windows
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
