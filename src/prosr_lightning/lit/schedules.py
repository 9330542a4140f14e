"""Learning-rate schedules over the share of a run that is done, whatever limits the run: steps, epochs or time."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

from lightning import Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from prosr_lightning.errors import ConfigError
from prosr_lightning.lit.limits import run_progress


class ProgressSchedule(LRScheduler, abc.ABC):
    """A schedule that is a function of the share of the run that is done."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.progress = 0.0
        super().__init__(optimizer)

    @abc.abstractmethod
    def factor(self) -> float:
        """Return what to multiply the base rates by at `self.progress`."""

    def advance(self, progress: float) -> None:
        """Set the rates for a run of which the share `progress`, in `[0, 1]`, is done."""
        self.progress = min(max(progress, 0.0), 1.0)
        self.step()

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each parameter group."""
        return [float(base) * self.factor() for base in self.base_lrs]


class StepDecay(ProgressSchedule):
    """Multiply the rate by a factor several times, at even distances (LapSRN's schedule).

    Args:
        optimizer: The optimizer.
        drops: How often; 3 drops after each quarter of the run.
        factor: The factor, in `(0, 1]`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, optimizer: Optimizer, *, drops: int = 3, factor: float = 0.5) -> None:
        if drops < 0 or not 0 < factor <= 1:
            raise ConfigError(
                f"`drops` must be >= 0 and `factor` in (0, 1], got {drops} and {factor}; see conf/budget."
            )
        self.drops, self.drop_factor = drops, factor
        super().__init__(optimizer)

    def factor(self) -> float:
        """Return `factor` to the power of the drops so far."""
        return float(self.drop_factor ** min(self.drops, int(self.progress * (self.drops + 1))))


class CosineToEnd(ProgressSchedule):
    """Fall from the base rate to a fraction of it along half a cosine that ends with the run.

    Args:
        optimizer: The optimizer.
        final_fraction: The last rate as a fraction of the base rate, in `[0, 1]`.
        warmup: Share of the run, in `[0, 1)`, over which the rate first rises linearly from a tenth.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(self, optimizer: Optimizer, *, final_fraction: float = 0.01, warmup: float = 0.0) -> None:
        if not (0 <= final_fraction <= 1 and 0 <= warmup < 1):
            raise ConfigError(
                f"`final_fraction` must be in [0, 1] and `warmup` in [0, 1), got {final_fraction} and {warmup}; "
                "see conf/budget."
            )
        self.final_fraction, self.warmup = final_fraction, warmup
        super().__init__(optimizer)

    def factor(self) -> float:
        """Return the height of the warm-up or of the cosine."""
        if self.progress < self.warmup:
            return 0.1 + 0.9 * self.progress / self.warmup
        done = (self.progress - self.warmup) / (1 - self.warmup)
        return self.final_fraction + (1 - self.final_fraction) * 0.5 * (1 + math.cos(math.pi * done))


def advance_schedules(schedulers: Sequence[LRScheduler], trainer: Trainer) -> None:
    """Step the schedules after a training batch, by the share of the run that is done or by the batch."""
    follow = [scheduler for scheduler in schedulers if isinstance(scheduler, ProgressSchedule)]
    progress = run_progress(trainer) if follow else 0.0
    for scheduler in schedulers:
        if isinstance(scheduler, ProgressSchedule):
            scheduler.advance(progress)
        else:
            scheduler.step()
