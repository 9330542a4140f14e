"""What a network costs and how deep it is, counted while it runs: Table 1, Fig. 8 and the race.

Several counts of layers are in use, and Table 1 does not keep to one. At 4x:

- `contract.count_layers`, the convolutions that exist, gives Table 1 for SRCNN 3, ESPCN 3, FSRCNN 8, VDSR 20, LapSRN 27
  and ProSRN 14 (of which 28 are executed at 4x).
- `longest_path`, the convolutions between input and output, gives Table 1 for DRCN 20 and DRRN 52, whose weights are
  shared (5 and 4 exist).
- SRResNet has 37 by either count: 1 + 2 * 16 + 1 + 2 + 1. Table 1 says 39, which is reached by counting its two pixel
  shuffles as layers, though ESPCN's is not counted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from prosr_lightning.imaging.factors import power_of_two
from prosr_lightning.networks.contract import SRNetwork

_SIDE = 64  # of the LR image


def multiply_adds_per_output_pixel(network: SRNetwork, scale: int) -> float:
    """Count the multiply-adds of all convolutions executed for one pixel of the enlarged image.

    Args:
        network: It is neither run nor changed.
        scale: Total factor.

    Returns:
        Multiply-adds per output pixel. Biases, activations, batch norm and bicubic interpolation are not counted; the
        padded border of ProSRN's image branch adds less than 0.01 %.

    Raises:
        ConfigError: If the network cannot do `scale`.
    """
    multiply_adds, sr = _run(network, power_of_two(scale))
    return multiply_adds / sr.numel() * (power_of_two(scale) / scale) ** 2


def multiply_adds_by_scale(network: SRNetwork, scales: Iterable[int]) -> dict[int, float]:
    """Return `multiply_adds_per_output_pixel` at each scale; nothing for a network that cannot run without numbers."""
    try:
        return {scale: multiply_adds_per_output_pixel(network, scale) for scale in scales}
    except RuntimeError:  # what PyTorch raises where a value is asked for that the "meta" device has not
        return {}


@torch.inference_mode()
def largest_features(network: SRNetwork, scale: int) -> int:
    """Return the most values that a convolution makes for one pixel of the input, by which memory is estimated.

    A small image is enlarged for it: the "meta" device would cost an enlargement a second and 70 MB of imports.

    Args:
        network: A copy of it is run, where it is.
        scale: What one pass enlarges by.
    """
    ghost = copy.deepcopy(network).eval()
    lr = next(ghost.parameters(), torch.zeros(())).new_full((1, 1, _SIDE, _SIDE), 0.5)
    values = [lr.numel() * scale**2]
    for layer in ghost.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(lambda _layer, _inputs, output: values.append(output.numel()))
    ghost.enlarge(lr, scale)
    return -(-max(values) // _SIDE**2)


def longest_path(network: SRNetwork, scale: int) -> int:
    """Count the convolutions on the longest way from the input to the last image.

    Args:
        network: It is neither run nor changed.
        scale: Total factor.

    Returns:
        The depth in layers.

    Raises:
        ConfigError: If the network cannot do `scale`.
    """
    _, sr = _run(network, scale)
    output = sr.grad_fn
    depths: dict[Node | None, int] = {None: 0}
    waiting = [output]
    while waiting:
        node = waiting[-1]
        inputs = [before for before, _ in node.next_functions] if node is not None else []
        unknown = [before for before in inputs if before not in depths]
        if unknown:
            waiting.extend(unknown)
            continue
        waiting.pop()
        if node is not None:
            depths[node] = max((depths[before] for before in inputs), default=0) + ("Convolution" in node.name())
    return depths[output]


def _run(network: SRNetwork, scale: int) -> tuple[int, Tensor]:
    """Return the multiply-adds of all convolutions, and the last image, of a pass on "meta", without numbers."""
    ghost = copy.deepcopy(network).to("meta").eval().requires_grad_(True)
    multiply_adds: list[int] = []

    def count(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        multiply_adds.append(_multiply_adds(layer, inputs[0], output))

    for layer in ghost.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(count)
    with torch.enable_grad():
        sr = ghost.enlarge(torch.empty(1, 1, _SIDE, _SIDE, device="meta"), scale)
    return sum(multiply_adds), sr


def _multiply_adds(layer: nn.Conv2d | nn.ConvTranspose2d, before: Tensor, after: Tensor) -> int:
    """A weight of a convolution is used once per output pixel, one of a transposed convolution once per input pixel."""
    pixels = before if isinstance(layer, nn.ConvTranspose2d) else after
    return layer.weight.numel() * pixels.shape[-2] * pixels.shape[-1]
