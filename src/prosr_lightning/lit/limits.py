"""How far a run is, and its end: by steps, epochs or time, on all devices alike."""

from __future__ import annotations

import logging

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

log = logging.getLogger(__name__)


def run_progress(trainer: Trainer) -> float:
    """Return the share of a run that is done: the largest over its limits of steps, epochs and time.

    With several devices and a limit of time all must ask at once: it is the first one's clock that counts, or their
    learning rates would differ, and then their weights.

    Args:
        trainer: The trainer, which knows the limits.

    Returns:
        A value in `[0, 1]`; 0 if the run has no limit.
    """
    shares = [0.0]
    if trainer.max_steps and trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)  # both count the steps of every optimizer
    if trainer.max_epochs and trainer.max_epochs > 0:
        epochs = trainer.current_epoch + (trainer.fit_loop.batch_idx + 1) / trainer.num_training_batches
        shares.append(epochs / trainer.max_epochs)  # epochs before a resumption may have had other numbers of batches
    for timer, remaining in _clocks(trainer):
        elapsed = timer.time_elapsed()
        shares.append(trainer.strategy.broadcast(elapsed / max(elapsed + remaining, 1e-9)))
    return min(max(shares), 1.0)


class EndOfRun(Callback):
    """Validate the end of a run, wherever in an epoch its limit falls, and say so if there is nothing left to train.

    Lightning validates when a run is told to stop, but only in an epoch that is to be validated anyhow, and not at all
    where `max_steps` ends it: the last weights, which the schedule made the best, would be in no `best.ckpt`.
    """

    def __init__(self) -> None:
        self._trained = False
        self._every_n_epochs: int | None = None  # the trainer's setting, while the end is validated

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a run, or go on with one."""
        self._trained = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Tell Lightning to stop, and so to validate, where it would stop without being told."""
        self._trained = True
        epochs: int = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]  # typed too widely
        finished = epochs + int(trainer.is_last_batch)
        if not (_steps_done(trainer) or _epochs_done(trainer, finished) or trainer.should_stop):
            return
        trainer.should_stop = True
        every = trainer.check_val_every_n_epoch
        if every is not None and (trainer.current_epoch + 1) % every:
            self._every_n_epochs, trainer.check_val_every_n_epoch = every, None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the trainer its setting back."""
        self._restore(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the trainer its setting back."""
        self._restore(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn if the limits were reached before the first batch, as those of a run that is resumed at its end are."""
        if self._trained or not trainer.is_global_zero:
            return
        reached = {
            f"trainer.max_steps={trainer.max_steps}": _steps_done(trainer),
            f"trainer.max_epochs={trainer.max_epochs}": _epochs_done(trainer, trainer.current_epoch),
            "trainer.max_time": any(remaining <= 0 for _, remaining in _clocks(trainer)),
        }
        limits = " and ".join(limit for limit, is_reached in reached.items() if is_reached)
        if limits:
            log.warning("Nothing was left to train: the run has reached %s; raise the limit to go on.", limits)

    def _restore(self, trainer: Trainer) -> None:
        if self._every_n_epochs is not None:
            trainer.check_val_every_n_epoch, self._every_n_epochs = self._every_n_epochs, None


def _steps_done(trainer: Trainer) -> bool:
    return trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps


def _epochs_done(trainer: Trainer, finished: int) -> bool:
    return trainer.max_epochs is not None and trainer.max_epochs != -1 and finished >= trainer.max_epochs


def _clocks(trainer: Trainer) -> list[tuple[Timer, float]]:
    """Return the timers that limit the run, each with the seconds that remain to it."""
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]  # set by Lightning's connector
    return [(timer, left) for timer in timers if (left := timer.time_remaining()) is not None]
