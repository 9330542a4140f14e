"""Optimizers of the compared methods that torch does not have; `conf/recipe` uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import nn
from torch.optim import SGD

from prosr_lightning.errors import ConfigError


class AdjustablyClippedSGD(SGD):
    """SGD whose gradients are clipped to `clip / rate`, so that a step is never longer than `clip` (VDSR, Sec. 3.2).

    Args:
        params: The parameters.
        lr: The rate; VDSR starts at 0.1, which needs the clipping.
        clip: theta, the largest change of a weight in a step without momentum.
        momentum: Of the gradient.
        weight_decay: Added to the clipped gradient.
        fused: As in `torch.optim.SGD`.

    Raises:
        ConfigError: If `clip` is not positive.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float = 0.1,
        clip: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        fused: bool = False,
    ) -> None:
        if not clip > 0:
            raise ConfigError(f"`clip` must be positive, got {clip}; VDSR's is 0.01.")
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
        self.clip = clip

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Clip every gradient by the rate of its group, then step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            limit = self.clip / max(float(group["lr"]), 1e-12)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.clamp_(-limit, limit)
        super().step()
        return loss


def sgd_by_layer(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    last_lr: float | None = None,
    bias_lr: float | None = None,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    fused: bool = False,
) -> SGD:
    """Return SGD with rates of their own for the last layer (SRCNN, FSRCNN, ESPCN) or the biases (SRCNN, LapSRN).

    Args:
        parameters: In the order of the layers; the last two are the last layer's, those of one dimension are biases.
        lr: The rate of the others.
        last_lr: The rate of the last layer, its bias included; None takes `lr`.
        bias_lr: The rate of the biases; None takes `lr`.
        momentum: Of the gradient.
        weight_decay: Of all.
        fused: As in `torch.optim.SGD`.

    Returns:
        The optimizer, with a group for each rate.
    """
    layers = list(parameters)
    last: list[nn.Parameter] = []
    if last_lr is not None:
        layers, last = layers[:-2], layers[-2:]
    weights = [one for one in layers if bias_lr is None or one.ndim > 1]
    biases = [one for one in layers if bias_lr is not None and one.ndim == 1]
    rates = ((weights, lr), (biases, bias_lr), (last, last_lr))
    groups: list[dict[str, Any]] = [{"params": group, "lr": rate} for group, rate in rates if group]
    return SGD(groups, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
