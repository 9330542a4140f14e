"""What the machine can do: the rate of a large matrix product, and of the convolution that the networks consist of."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from prosr_lightning.benchmark.comparing import Task

GIGA = 1e9
PRODUCT, CONVOLUTION, BETTER = "matrix product", "convolution", "the better of both"


def wait(device: torch.device) -> None:
    """Wait until a device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def yardstick_dtype(device: torch.device) -> torch.dtype:
    """Return what the yardsticks compute in: bfloat16 on CUDA, else float32."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def repeated(work: Callable[[], object], device: torch.device, *, amount: float, times: int | None = None) -> Task:
    """Return a task that does the same work over and over.

    Args:
        work: What to do.
        device: Where it happens; the task waits for it in the end.
        amount: How much it does each time, in the unit of the rate.
        times: How often; None takes 4 on the CPU and 50 elsewhere, where four are done before a clock can tell.
    """
    count = times or (4 if device.type == "cpu" else 50)

    @torch.inference_mode()
    def run() -> float:
        for _ in range(count):
            work()
        wait(device)
        return float(count * amount)

    return run


def matrix_product(device: torch.device, dtype: torch.dtype, *, side: int | None = None) -> Task:
    """Return a task that multiplies two square matrices, whose `side` has a default, and returns the GFLOP of it."""
    size = side or (2048 if device.type == "cpu" else 4096)
    a, b = (torch.rand(size, size, device=device, dtype=dtype) for _ in range(2))
    return repeated(lambda: torch.mm(a, b), device, amount=2 * size**3 / GIGA)


def convolution(device: torch.device, dtype: torch.dtype, *, side: int | None = None, channels: int = 64) -> Task:
    """Return a task that runs a 3x3 convolution of so many channels, channels last, and returns the GFLOP of it."""
    size = side or (256 if device.type == "cpu" else 1024)  # the cache of a CPU holds no more
    shapes = (1, channels, size, size), (channels, channels, 3, 3)
    image, weight = (
        torch.rand(shape, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last) for shape in shapes
    )
    amount = 2 * 9 * channels**2 * size**2 / GIGA
    return repeated(lambda: F.conv2d(image, weight, padding=1), device, amount=amount)
