"""Which batches are trained on and when is validated, over stops and changes of the batch size."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import nn

from prosr_lightning.data.photographs import FolderDataModule
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.lit.limits import run_progress
from prosr_lightning.train.callbacks import KeepLast


class Stopped(Exception):  # noqa: N818  # not an error
    """The test's own stop."""


class Recorder(LightningModule):
    """Write down epoch and number of each batch, and the name of each validation image; stop after a given one."""

    def __init__(self, stop_at=None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.stop_at = stop_at
        self.events: list[object] = []
        self.shares: list[float] = []

    def configure_callbacks(self):
        return LitSuperResolution.configure_callbacks(self)

    def training_step(self, batch, batch_idx):
        self.events.append(tuple(self.trainer.datamodule.begun[:2]))
        self.shares.append(run_progress(self.trainer))
        return (self.weight * batch["lr"]).mean()

    def validation_step(self, batch, batch_idx):
        self.events.append(batch["image"])

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self._stop()

    def on_validation_batch_end(self, outputs, batch, batch_idx):
        self._stop()

    def _stop(self):
        if self.events[-1] == self.stop_at:
            raise Stopped

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAlways(KeepLast):
    """Save after each batch and each validation image, as `KeepLast` does when it is asked to stop."""

    def on_train_batch_end(self, trainer, *args):
        self._save(trainer)

    def on_validation_batch_end(self, trainer, *args):
        self._save(trainer)


@pytest.fixture
def fit(tmp_path, photographs):
    folder = photographs((32, 32), (40, 32))[0].parent
    path = tmp_path / "checkpoints" / "last.ckpt"

    def run(batch_size, *, stop_at=None, workers=0, kind=FolderDataModule, **limits) -> Recorder:
        data = kind(
            train_dir=folder,
            data_dir=tmp_path,
            val_sets=[str(folder)],
            val_limit=2,
            levels=[2],
            crop=16,
            batch_size=batch_size,
            patches_per_epoch=8,
            num_workers=workers,
            cache_dir=tmp_path / "cache",
        )
        module = Recorder(stop_at)
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[SaveAlways(dirpath=path.parent)],
            **limits,
        )
        start = str(path) if path.exists() else None
        with pytest.raises(Stopped) if stop_at is not None else nullcontext():
            trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
        return module

    return run


def epoch(number, *batches):
    return [*((number, batch) for batch in batches), "00", "01"]


def test_another_number_of_batches_after_a_whole_epoch(fit):
    """What is trained is every epoch in full, validated at its end, however many batches the epochs before had."""
    assert fit(2, max_epochs=3).events == epoch(0, *range(4)) + epoch(1, *range(4)) + epoch(2, *range(4))
    second = fit(1, max_epochs=5)
    assert second.events == epoch(3, *range(8)) + epoch(4, *range(8))
    assert second.shares == pytest.approx([(3 + batch / 8) / 5 for batch in range(1, 17)])
    assert fit(1, max_epochs=6).events == epoch(5, *range(8))
    assert fit(4, max_epochs=8).events == epoch(6, 0, 1) + epoch(7, 0, 1)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("size", "rest"),
    [
        (2, [2, 3]),
        (1, [2, 3, 4, 5]),  # half of 8 batches, under numbers that were not used before
        (4, [2]),
        (8, [2]),  # half of a single batch is none: the whole
    ],
)
def test_another_number_of_batches_in_the_middle_of_an_epoch(fit, size, rest, workers):
    before = fit(2, max_epochs=2, stop_at=(1, 1), workers=workers)
    assert before.events == [*epoch(0, *range(4)), (1, 0), (1, 1)]
    assert fit(size, max_epochs=3, workers=workers).events == epoch(1, *rest) + epoch(2, *range(8 // size))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("size", [2, 1, 8])
@pytest.mark.parametrize("stop_at", [(0, 3), "00", "01"])
def test_a_validation_that_a_stop_left_out_or_broke_off_is_made_in_full(fit, stop_at, size, workers):
    fit(2, max_epochs=1, stop_at=stop_at, workers=workers)
    assert fit(size, max_epochs=2, workers=workers).events == ["00", "01", *epoch(1, *range(8 // size))]


@pytest.mark.parametrize(
    ("limits", "stop_at", "rest"),
    [
        ({"check_val_every_n_epoch": 2}, (0, 3), epoch(1, *range(4))),
        ({"val_check_interval": 2}, (0, 1), ["00", "01", *epoch(0, 2, 3), *epoch(1, 0, 1), *epoch(1, 2, 3)]),
        ({"val_check_interval": 2}, (0, 2), [*epoch(0, 3), *epoch(1, 0, 1), *epoch(1, 2, 3)]),
        ({"val_check_interval": 0.5}, "00", ["00", "01", *epoch(0, 2, 3), *epoch(1, 0, 1), *epoch(1, 2, 3)]),
        (
            {"val_check_interval": 3, "check_val_every_n_epoch": None},
            (0, 2),
            ["00", "01", (0, 3), *epoch(1, 0, 1), *epoch(1, 2, 3)],  # the last is that of the end
        ),
    ],
)
def test_a_stop_leaves_the_rhythm_of_validation_as_it_was(fit, limits, stop_at, rest):
    fit(2, max_epochs=2, stop_at=stop_at, **limits)
    assert fit(2, max_epochs=2, **limits).events == rest


@pytest.mark.parametrize(
    ("first", "then", "rest"),
    [
        ({"max_steps": 6}, {"max_steps": 11}, epoch(1, 2, 3) + epoch(2, 0, 1, 2)),
        ({"max_steps": 6}, {"max_epochs": 3}, epoch(1, 2, 3) + epoch(2, *range(4))),
        ({"max_steps": 8}, {"max_steps": 12}, epoch(2, *range(4))),
        ({"max_steps": 8}, {"max_epochs": 3}, epoch(2, *range(4))),
        ({"max_epochs": 2}, {"max_steps": 12}, epoch(2, *range(4))),
        ({"max_epochs": 2, "limit_train_batches": 2}, {"max_epochs": 3}, epoch(2, *range(4))),
        ({"max_epochs": 2}, {"max_epochs": 4, "limit_train_batches": 0.5}, epoch(2, 0, 1) + epoch(3, 0, 1)),
    ],
)
def test_a_longer_run_begins_where_a_limit_ended_the_shorter(fit, first, then, rest):
    fit(2, **first)
    assert fit(2, **then).events == rest


def test_other_batches_after_a_limit_of_steps_within_an_epoch(fit):
    fit(2, max_steps=6)
    assert fit(1, max_epochs=3).events == epoch(1, *range(2, 6)) + epoch(2, *range(8))


def test_a_datamodule_of_another_kind_goes_on_in_the_same_epoch(fit):
    """Lightning keeps the state of a data module under the name of its class."""
    fit(2, max_epochs=2, stop_at=(1, 1))
    assert fit(2, max_epochs=2, kind=type("Other", (FolderDataModule,), {})).events == epoch(1, 2, 3)
