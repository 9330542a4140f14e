"""What the machine can do: the rate of a large matrix product, and of the convolution that the networks consist of."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

GIGA = 1e9


def wait(device: torch.device) -> None:
    """Wait until a device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_product(device: torch.device, dtype: torch.dtype, *, side: int = 2048) -> Callable[[], float]:
    """Return a task that multiplies two square matrices and returns the GFLOP of it.

    Args:
        device: Where.
        dtype: float32, or half precision on an accelerator.
        side: Of the matrices.
    """
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))

    def run() -> float:
        for _ in range(4):
            torch.mm(a, b)
        wait(device)
        return float(4 * 2 * side**3 / GIGA)

    return run


def convolution(device: torch.device, dtype: torch.dtype, *, side: int = 256) -> Callable[[], float]:
    """Return a task that runs a 3x3 convolution of 64 to 64 channels, channels last, and returns the GFLOP of it.

    Args:
        device: Where.
        dtype: As `matrix_product`.
        side: Of the image.
    """
    image = torch.rand(1, 64, side, side, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(64, 64, 3, 3, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> float:
        for _ in range(4):
            F.conv2d(image, weight, padding=1)
        wait(device)
        return 4 * 2 * 9 * 64 * 64 * side**2 / GIGA

    return run
