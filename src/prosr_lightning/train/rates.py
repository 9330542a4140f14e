"""The settings of optimizers and schedules that a run which goes on was given anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from prosr_lightning.errors import ConfigError
from prosr_lightning.lit.limits import run_progress
from prosr_lightning.lit.schedules import ProgressSchedule


class NewRates(Callback):
    """Give optimizers and schedules their new settings after the state of the earlier part was loaded.

    What differs is found by building each optimizer with the earlier settings too, whatever its arguments do to its
    groups of parameters. What an optimizer has learned, its moments, stays.

    Args:
        earlier: The configuration so far.
        anew: The schedule changed too, so that rates are those of now, not those of then in proportion.
    """

    def __init__(self, earlier: Mapping[str, Any], *, anew: bool) -> None:
        self._earlier, self._anew = earlier, anew
        self._new: list[list[dict[str, Any]]] = []  # of each optimizer and group: what differs
        self._bases: list[list[tuple[float, float]]] = []  # of each optimizer and group: the rate then, and now

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the optimizers, as they were just built, with those of before."""
        self._new, self._bases = [], []
        for optimizer, node in zip(trainer.optimizers, self._earlier_optimizers(), strict=False):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            before = instantiate(node, _convert_="all")(parameters).param_groups
            if len(before) != len(optimizer.param_groups):
                raise ConfigError("`optimizer` must keep its groups of parameters when a run goes on; use init_from.")
            pairs = list(zip(before, optimizer.param_groups, strict=True))
            self._new.append([{key: now[key] for key in now if _is_setting(key, then, now)} for then, now in pairs])
            self._bases.append([(float(then["lr"]), float(now.get("initial_lr", now["lr"]))) for then, now in pairs])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set what differs, and the rates."""
        for optimizer, settings, bases in zip(trainer.optimizers, self._new, self._bases, strict=False):
            for group, new, (then, now) in zip(optimizer.param_groups, settings, bases, strict=True):
                group.update(new)
                group["lr"] = now if self._anew or not then else group["lr"] * now / then
                group["initial_lr"] = now
        for config in trainer.lr_scheduler_configs:
            scheduler = cast(Any, config.scheduler)
            scheduler.base_lrs = [group["initial_lr"] for group in cast(Optimizer, scheduler.optimizer).param_groups]
            if isinstance(scheduler, ProgressSchedule):
                scheduler.progress = run_progress(trainer)
                rates = scheduler.get_lr()
                for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate
            scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]

    def _earlier_optimizers(self) -> list[Any]:
        """Return the configuration of each optimizer so far: the generator's, and that of a discriminator."""
        model = self._earlier.get("model", {})
        shared = self._earlier["optimizer"]
        return [shared, model.get("discriminator_optimizer") or shared]


def _is_setting(key: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return key not in ("params", "lr", "initial_lr") and (key not in then or then[key] != now[key])
