"""What a configuration makes is built once before any data is read, and what is no such part is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning import Callback
from omegaconf import OmegaConf
from torch import nn
from torch.optim import Adam, Optimizer

from prosr_lightning.errors import ConfigError
from prosr_lightning.train.checking import require_optimizer
from prosr_lightning.train.task import _made

HERE = __name__


class Bare(Optimizer):
    """Steps without a closure."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    def step(self) -> None:  # type: ignore[override]  # that is the test
        pass


class Renamed(Optimizer):
    def __init__(self, params: Any, rate: float = 0.1) -> None:
        super().__init__(params, {"rate": rate})

    def step(self, closure: Any = None) -> None:
        pass


def of_a_function(params: Any, lr: float) -> Adam:
    return Adam(params, lr=lr)


def several(params: Any, lr: float) -> list[Adam]:
    return [Adam(params, lr=lr)]


def of_a_model(model: nn.Module, lr: float) -> Adam:
    return Adam(model.parameters(), lr=lr)


def by_epoch(optimizer: Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)


def nothing(optimizer: Optimizer) -> None:
    return None


def built(optimizer: str, scheduler: str | None = None, **settings: Any) -> None:
    """Build both as a training would."""
    node = {"_target_": optimizer, "_partial_": True} | settings
    schedule = None if scheduler is None else {"_target_": scheduler, "_partial_": True}
    require_optimizer(OmegaConf.create({"optimizer": node, "scheduler": schedule}))


def test_optimizers_and_schedules_of_ones_own_are_taken():
    built(f"{HERE}.of_a_function", f"{HERE}.by_epoch", lr=0.1)
    built("torch.optim.SGD", "torch.optim.lr_scheduler.ConstantLR", lr=0.1)


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        (f"{HERE}.Bare", {}, "must have a step that takes `closure`, and `lr` in its groups.*Bare has not"),
        (f"{HERE}.Renamed", {}, "Renamed has not"),
        (f"{HERE}.several", {"lr": 0.1}, "`optimizer` must make one Optimizer, got list"),
        (f"{HERE}.nothing", {}, "`optimizer` must make one Optimizer, got NoneType"),
        (f"{HERE}.of_a_model", {"lr": 0.1}, "got: 'list' object has no attribute 'parameters'"),
        ("torch.optim.LBFGS", {}, "must step once a batch"),
    ],
)
def test_what_is_no_optimizer_of_a_batch_is_named(target: str, settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        built(target, **settings)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("torch.optim.lr_scheduler.ReduceLROnPlateau", "must step without a measure"),
        ("torch.optim.lr_scheduler.StepLR", "`scheduler` must have settings .* 'step_size'"),
        (f"{HERE}.nothing", "`scheduler` must make one LRScheduler, got NoneType"),
    ],
)
def test_what_is_no_schedule_is_named(target: str, message: str):
    with pytest.raises(ConfigError, match=message):
        built("torch.optim.SGD", target, lr=0.1)


def test_a_callback_must_be_one():
    cfg = OmegaConf.create({"callbacks": {"mine": {"_target_": "fractions.Fraction"}, "none": None}})
    with pytest.raises(ConfigError, match=r"`callbacks.mine` must be a Lightning Callback, got Fraction"):
        _made(cfg, "callbacks", Callback)
