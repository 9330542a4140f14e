"""Bring Lightning's counts of epochs and batches into line with the patches when a run goes on."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.data.patches import Position, fit_position


class EpochCounts(Callback):
    """Let a resumed run go on in the epoch and at the batch that the patches have reached.

    Lightning counts the batches of an unfinished epoch and takes the run to be at its end when the count is that of an
    epoch. Three things go wrong with that, so that batches or validations are left out:

    - An epoch has another number of batches than before (another batch size, number of devices or limit). The count is
      brought to the same share of the new number.
    - A limit of steps or time ended the run in the middle of an epoch, which Lightning counts as complete then. It is
      opened again.
    - The run was stopped between the last batch and the end of the validation that belongs to it. That validation is
      made from its first image on.
    """

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Correct the counts of the checkpoint before Lightning reads them."""
        loop: dict[str, Any] = checkpoint["loops"]["fit_loop"]
        states: list[Position] = loop["state_dict"].get("combined_loader", [])
        datamodule = trainer.datamodule  # type: ignore[attr-defined]  # set by Lightning's connector
        if not states or "batches" not in states[0] or not isinstance(datamodule, PatchDataModule):
            return  # of an earlier version, or of other data
        before = states[0]
        now = fit_position(before, _limited(datamodule.num_batches(), trainer.limit_train_batches))
        states[0] = now
        datamodule.load_state_dict(now)
        epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
        _correct(epochs, batches, now, unfinished=before["batch"] > 0)
        if _is_interrupted(loop) and _validates(trainer, batches, now):
            _validate_again(loop)


def _limited(batches: int, limit: float) -> int:
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _correct(epochs: dict[str, Any], batches: dict[str, Any], now: Position, *, unfinished: bool) -> None:
    for counts in (epochs["total"], epochs["current"]):
        _shift(counts, now["epoch"] + (now["batch"] > 0))
        if unfinished:
            counts["processed"] = counts["completed"] = now["epoch"]
    _shift(batches["current"], now["batch"] if unfinished else now["batches"])
    if unfinished:
        batches["is_last_batch"] = False
    if unfinished and not now["batch"]:  # too small a share of the epoch to count
        _equalise(batches)


def _shift(counts: dict[str, int], ready: int) -> None:
    """Set the count of what has begun, and keep the distance of the counts that follow it."""
    by = ready - counts["ready"]
    counts.update({name: max(0, count + by) for name, count in counts.items()})


def _equalise(progress: dict[str, Any]) -> None:
    """Let everything that was begun be complete."""
    for counts in (progress["total"], progress["current"]):
        counts.update(dict.fromkeys(counts, counts["ready"]))


def _is_interrupted(loop: dict[str, Any]) -> bool:
    """Tell whether the checkpoint was saved after a batch and before the end of a validation that may follow it."""
    batches, images = loop["epoch_loop.batch_progress"]["total"], loop["epoch_loop.val_loop.batch_progress"]["current"]
    return bool(batches["completed"] < batches["processed"] or images["completed"] < images["ready"])


def _validates(trainer: Trainer, batches: dict[str, Any], now: Position) -> bool:
    """Tell whether a validation belongs to the last batch, by the rules of `trainer.val_check_interval`."""
    every, interval = trainer.check_val_every_n_epoch, trainer.val_check_interval
    if not isinstance(interval, int | float):  # a time
        return False
    interval = interval if isinstance(interval, int) else max(1, int(now["batches"] * interval))
    if every is None:
        return bool(batches["total"]["ready"] % interval == 0)
    epochs = now["epoch"] + (now["batch"] > 0)
    return epochs % every == 0 and (now["batch"] or now["batches"]) % interval == 0


def _validate_again(loop: dict[str, Any]) -> None:
    """Let the counts be those of a run that was stopped while it scored its first validation image."""
    _equalise(loop["epoch_loop.batch_progress"])
    first = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    loop["epoch_loop.val_loop.batch_progress"] = {"total": first, "current": dict(first), "is_last_batch": False}
