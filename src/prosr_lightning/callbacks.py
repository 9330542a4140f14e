"""Callbacks: checkpoints that survive, and a plain progress bar."""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

from prosr_lightning.errors import ConfigError, TrainingError

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
        raise TrainingError(
            f"Training was stopped by {reason} at epoch {pl_module.current_epoch}; its state is in {self.path}. "
            f"Go on with ckpt_path={self.path}."
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
