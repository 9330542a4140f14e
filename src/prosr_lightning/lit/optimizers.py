"""Optimizers that torch does not have, or not in this form; `conf/optimizer` and `conf/recipe` use them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from prosr_lightning.errors import ConfigError

_OWN, _AVERAGE = "generator.", "ema_generator.module."  # keys of a LightningModule's two copies of the network
_IMAGE_SIDE = 4  # most channels of an image, or of the four that a pixel shuffle lays out


class AdjustablyClippedSGD(SGD):
    """SGD whose gradients are clipped to `clip / rate`, so that a step is never longer than `clip` (VDSR, Sec. 3.2).

    Args:
        params: The parameters.
        lr: The rate; VDSR starts at 0.1, which needs the clipping.
        clip: theta, the largest change of a weight in a step without momentum.
        whole: Clip the length of the whole gradient instead, as Caffe does: DRRN's code.
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
        whole: bool = False,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        fused: bool = False,
    ) -> None:
        if not clip > 0:
            raise ConfigError(f"`clip` must be positive, got {clip}; VDSR's is 0.01.")
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
        self.clip, self.whole = clip, whole

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
        scale = float(getattr(self, "grad_scale", None) or 1)  # in float16, a fused step undoes it after the clipping
        for group in self.param_groups:
            limit = scale * self.clip / max(float(group["lr"]), 1e-12)
            if self.whole:
                nn.utils.clip_grad_norm_(group["params"], limit)
            else:
                nn.utils.clip_grad_value_(group["params"], limit)
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
    weights = [parameter for parameter in layers if bias_lr is None or parameter.ndim > 1]
    biases = [parameter for parameter in layers if bias_lr is not None and parameter.ndim == 1]
    rates = ((weights, lr), (biases, bias_lr), (last, last_lr))
    groups: list[dict[str, Any]] = [{"params": group, "lr": rate} for group, rate in rates if group]
    return SGD(groups, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)


def schedule_free(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float = 2e-3,
    warmup_steps: int = 200,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    fused: bool = True,
) -> Optimizer:
    """Return schedule-free AdamW (Defazio et al. 2024), whose rate never falls: it averages the weights instead.

    The parameters are those of the gradient, y in the paper; the average x, which is what to validate and keep, comes
    from `average_of`. A run needs no length in advance, and can always be gone on with.

    Args:
        parameters: The parameters.
        lr: The rate, one to ten times that of Adam.
        warmup_steps: Updates over which the rate rises linearly.
        betas: Interpolation between average and base iterate, and decay of the squared gradients.
        weight_decay: Decoupled, at y.
        fused: Update all parameters in one call.

    Returns:
        `pytorch_optimizer.ScheduleFreeAdamW`.
    """
    from pytorch_optimizer import ScheduleFreeAdamW  # noqa: PLC0415  # two seconds, for those who use it

    return ScheduleFreeAdamW(
        list(parameters),
        lr=lr,
        warmup_steps=warmup_steps,
        betas=betas,
        weight_decay=weight_decay,
        foreach=True if fused else None,
    )


def muon(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float = 5e-3,
    adamw_lr: float = 1e-3,
    momentum: float = 0.95,
    weight_decay: float = 0.0,
    fused: bool = True,
) -> Optimizer:
    """Return Muon (Jordan et al. 2024) for the kernels between features, and AdamW for everything else.

    Muon orthogonalises the update of a matrix; a kernel `(O, I, h, w)` counts as the matrix `(O, I h w)`. Entry and
    last layers, which have the image on one side, and biases are no such matrices.

    Args:
        parameters: The parameters.
        lr: The rate of Muon.
        adamw_lr: The rate of AdamW.
        momentum: Of Muon.
        weight_decay: Decoupled, of all.
        fused: Update all parameters in one call.

    Returns:
        `pytorch_optimizer.Muon`, with two groups of parameters.
    """
    from pytorch_optimizer import Muon  # noqa: PLC0415  # as above

    everything = list(parameters)
    kernels = [parameter for parameter in everything if parameter.ndim == 4 and min(parameter.shape[:2]) > _IMAGE_SIDE]
    others = [parameter for parameter in everything if not any(parameter is kernel for kernel in kernels)]
    groups: list[dict[str, Any]] = [{"params": others, "use_muon": False, "lr": adamw_lr}]
    if kernels:
        groups.insert(0, {"params": kernels, "use_muon": True, "lr": lr})
    return Muon(
        groups,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        adamw_lr=adamw_lr,
        adamw_wd=weight_decay,
        foreach=True if fused else None,
    )


def average_of(optimizer: Optimizer) -> Callable[[nn.Parameter], Tensor] | None:
    """Return what gives the average x of a parameter y that a schedule-free optimizer follows; None for another.

    It is `x = y + (1 - 1 / beta1) (z - y)`, with the base iterate z of the optimizer's state.
    """
    if not _averages(optimizer.param_groups):
        return None
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}

    def average(parameter: nn.Parameter) -> Tensor:
        z = optimizer.state[parameter].get("z")
        if z is None:  # before the first update
            return parameter.detach()
        return torch.lerp(parameter.detach(), z, 1 - 1 / groups[id(parameter)]["betas"][0])

    return average


def _averages(groups: Iterable[Mapping[str, Any]]) -> bool:
    """Tell the groups of a schedule-free optimizer, also those of its saved state."""
    return all("train_mode" in group for group in groups)


def compact_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a schedule-free run in 8 bytes for each weight instead of 16; any other state as it is.

    The average x stays in float32; the base iterate z is kept as its difference from x, and the squared gradients, in
    bfloat16; the parameters y = beta1 x + (1 - beta1) z follow from both. A run that goes on from it is the same each
    time, but not bit for bit the one that was saved.

    Args:
        checkpoint: As a LightningModule saves it; not changed.

    Returns:
        What `expand_state` restores.
    """
    weights, optimizer = checkpoint["state_dict"], checkpoint["optimizer_states"][0]
    names = [name.removeprefix(_OWN) for name in weights if name.startswith(_OWN)]
    if (
        not _averages(optimizer["param_groups"])
        or len(names) != len(optimizer["state"])
        or _AVERAGE + names[0] not in weights
    ):
        return checkpoint
    moments = {
        number: {
            "z": (state["z"] - weights[_AVERAGE + name]).bfloat16(),
            "exp_avg_sq": state["exp_avg_sq"].bfloat16(),
        }
        for name, (number, state) in zip(names, sorted(optimizer["state"].items()), strict=True)
    }
    return {
        **checkpoint,
        "state_dict": {name: value for name, value in weights.items() if not name.startswith(_OWN)},
        "optimizer_states": [{**optimizer, "state": moments}, *checkpoint["optimizer_states"][1:]],
    }


def expand_state(checkpoint: dict[str, Any]) -> None:
    """Restore in place what `compact_state` left out; a whole state stays as it is."""
    weights = checkpoint["state_dict"]
    names = [name.removeprefix(_AVERAGE) for name in weights if name.startswith(_AVERAGE)]
    if not names or any(name.startswith(_OWN) for name in weights):
        return
    optimizer = checkpoint["optimizer_states"][0]
    beta1 = optimizer["param_groups"][0]["betas"][0]
    for name, (_, state) in zip(names, sorted(optimizer["state"].items()), strict=True):
        average = weights[_AVERAGE + name]
        state["z"] = average + state["z"].float()
        state["exp_avg_sq"] = state["exp_avg_sq"].float()
        weights[_OWN + name] = torch.lerp(average, state["z"], 1 - beta1)
