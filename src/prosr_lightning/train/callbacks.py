"""Callbacks: checkpoints that survive, a plain progress bar, and what a training is measured by."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from lightning.pytorch.profilers import SimpleProfiler
from lightning_utilities.core.rank_zero import rank_zero_only
from torch.optim import Optimizer

from prosr_lightning.errors import ConfigError, StoppedError
from prosr_lightning.lit.base import Batch, LitSuperResolution

log = logging.getLogger(__name__)

_ASK_OTHERS_EVERY = 10  # batches; under DDP all devices must stop at the same one


class KeepLast(Callback):
    """Keep `last.ckpt` current: after validation, every few minutes, at the end, and when the run is stopped.

    Ctrl-C and SIGTERM finish the batch, save and stop; a second Ctrl-C stops at once. Lightning's own `save_last` only
    writes when the best checkpoint improves, and its time interval never saves under manual optimization.

    Args:
        dirpath: Folder of the checkpoint.
        every_minutes: Longest time between two saves while training.

    Raises:
        ConfigError: If `every_minutes` is not positive.
    """

    def __init__(self, *, dirpath: Path | str, every_minutes: float = 5.0) -> None:
        if every_minutes <= 0:
            raise ConfigError(f"`every_minutes` must be positive, got {every_minutes}; the default is 5.")
        self.path = Path(dirpath) / "last.ckpt"
        self.every_minutes = every_minutes
        self._saved_at = 0.0
        self._saved_batch = -1
        self._stop_signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen for Ctrl-C and SIGTERM."""
        self._saved_at = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not the main thread, as in a notebook's helper or a test
                return

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Save if it is time, and stop if asked to."""
        several = trainer.world_size > 1
        if several and batch_idx % _ASK_OTHERS_EVERY:
            return
        stop, due = self._stop_signal is not None, time.monotonic() - self._saved_at > 60 * self.every_minutes
        if several:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
            due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if stop or due:
            self._save(trainer)
        if stop:
            self._stop(pl_module)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Stop in the middle of a validation if asked to; the weights are those of the last training batch."""
        if self._stop_signal is not None and trainer.world_size == 1 and not trainer.sanity_checking:
            self._save(trainer)
            self._stop(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after each validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of the run."""
        self._save(trainer)
        self._restore_signals()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._restore_signals()

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()

    def _stop(self, pl_module: LightningModule) -> None:
        assert self._stop_signal is not None or pl_module.trainer.world_size > 1
        reason = self._stop_signal.name if self._stop_signal else "a signal to another process"
        raise StoppedError(
            f"Training was stopped by {reason} at epoch {pl_module.current_epoch}; its state is in {self.path}. "
            f"Go on with ckpt_path={self.path}.",
            number=self._stop_signal or signal.SIGTERM,
        )

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # signal's signature
        if self._stop_signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._stop_signal = signal.Signals(number)
        log.warning(
            "%s received: finishing this batch, then saving. Press Ctrl-C again to stop at once.",
            self._stop_signal.name,
        )

    def _restore_signals(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()


class GradientNorm(Callback):
    """Log the length of the gradient of each update, before any clipping.

    Logged: `train/gradient_norm` of the generator, `train/d_gradient_norm` of a discriminator. Nothing waits for the
    device until a logger reads the value.
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure the gradient that this optimizer is about to follow."""
        parameters = [
            parameter for group in optimizer.param_groups for parameter in group["params"] if parameter.grad is not None
        ]
        if not parameters:
            return
        of_generator = any(
            parameter is parameters[0] for parameter in cast(LitSuperResolution, pl_module).generator.parameters()
        )
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters])
        pl_module.log(f"train/{'' if of_generator else 'd_'}gradient_norm", norm, batch_size=1)


class Throughput(Callback):
    """Log how fast the training goes.

    Logged: `train/samples_per_second`, HR patches on all devices over the last `trainer.log_every_n_steps` batches,
    loading included, validation not.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()  # when a batch ended, patches until then
        self._patches = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._begin(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the validation out."""
        self._begin(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Count the patches of a batch."""
        self._patches += batch["lr"].shape[0] * trainer.world_size
        self._marks.append((time.perf_counter(), self._patches))
        (then, before), (now, after) = self._marks[0], self._marks[-1]
        pl_module.log("train/samples_per_second", (after - before) / max(now - then, 1e-9), batch_size=1)

    def _begin(self, trainer: Trainer) -> None:
        self._marks = deque(
            [(time.perf_counter(), self._patches)], maxlen=max(1, cast(Any, trainer).log_every_n_steps) + 1
        )


class RunMeter(Callback):
    """Measure what a training costs: time, processor time and patches, over all its resumptions.

    Attributes:
        seconds: Wall time between the begin and the end of the training, its validations included.
        cpu_seconds: Processor time of the same, of this process and its finished children.
        samples: HR patches, on all devices.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._before = (0.0, 0.0)  # of the parts before a resumption
        self._begun: tuple[float, float] | None = None

    @property
    def seconds(self) -> float:
        """Wall time so far."""
        return self._now()[0]

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far."""
        return self._now()[1]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to measure."""
        self._begun = _clocks()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Count the patches of a batch."""
        self.samples += batch["lr"].shape[0] * trainer.world_size

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clocks."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop the clocks."""
        self._stop()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"clocks": list(self._now()), "samples": self.samples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self._before, self.samples = tuple(state_dict["clocks"]), state_dict["samples"]

    def _now(self) -> tuple[float, float]:
        if self._begun is None:
            return self._before
        (wall, cpu), (begun_wall, begun_cpu) = _clocks(), self._begun
        return self._before[0] + wall - begun_wall, self._before[1] + cpu - begun_cpu

    def _stop(self) -> None:
        self._before, self._begun = self._now(), None


def _clocks() -> tuple[float, float]:
    children = os.times()
    return time.monotonic(), time.process_time() + children.children_user + children.children_system


class PrintedProfiler(SimpleProfiler):
    """Lightning's simple profiler, which prints its table besides writing it to the file."""

    def describe(self) -> None:
        """Write and print the table."""
        super().describe()
        rank_zero_only(log.info)("%s", self.summary())


class TrainingProgressBar(RichProgressBar):
    """Lightning's progress bar with loss and validation PSNR, without the run's version number.

    Args:
        refresh_rate: Batches between two updates; each update reads the loss back from the device.
    """

    def __init__(self, *, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate, theme=RichProgressBarTheme(metrics_format=".4f"))

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def _get_train_description(self, current_epoch: int) -> str:
        """Say the epoch, and of how many only where a number of epochs limits the run."""
        last = self.trainer.max_epochs
        return f"Epoch {current_epoch}/{last - 1} " if last is not None and last > 0 else f"Epoch {current_epoch} "
