from __future__ import annotations

from functools import partial

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from prosr_lightning.lit.limits import run_progress
from prosr_lightning.lit.schedules import CosineToEnd


class Validations(Callback):
    """Record after how many updates the weights are validated."""

    def __init__(self):
        self.steps = []

    def on_validation_end(self, trainer, pl_module):
        self.steps.append(pl_module.steps_done)


def warnings(caplog):
    return [one.getMessage() for one in caplog.records if one.name == "prosr_lightning.lit.limits"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_epochs": -1, "max_steps": 6}, [4, 6]),  # 4 batches an epoch
        ({"max_epochs": -1, "max_steps": 3}, [3]),  # less than an epoch
        ({"max_epochs": -1, "max_steps": 8}, [4, 8]),
        ({"max_epochs": 2}, [4, 8]),
        ({"max_epochs": 3, "check_val_every_n_epoch": 2}, [8, 12]),
        ({"max_epochs": -1, "max_steps": 5, "check_val_every_n_epoch": 4}, [5]),
        ({"max_epochs": 1, "val_check_interval": 3}, [3, 4]),
        ({"max_epochs": -1, "max_steps": 7, "val_check_interval": 3, "check_val_every_n_epoch": None}, [3, 6, 7]),
        ({"max_epochs": 2, "limit_train_batches": 3}, [3, 6]),
        ({"max_epochs": -1, "max_steps": 2, "limit_val_batches": 0}, []),
    ],
)
def test_the_end_of_a_run_is_validated_once_and_can_be_the_best(
    make_module, make_data, make_trainer, tmp_path, limits, expected
):
    seen, best = (
        Validations(),
        ModelCheckpoint(dirpath=tmp_path / "best", filename="best", monitor="rising", mode="max"),
    )
    module = make_module()
    validated = module.on_validation_epoch_end
    module.on_validation_epoch_end = lambda: (validated(), module.log("rising", float(module.steps_done)))
    callbacks = [seen, best] if expected else [seen]
    trainer = make_trainer(callbacks=callbacks, enable_checkpointing=bool(expected), **limits)
    trainer.fit(module, datamodule=make_data())
    assert seen.steps == expected
    assert trainer.check_val_every_n_epoch == limits.get("check_val_every_n_epoch", 1)
    if expected:
        stored = torch.load(best.best_model_path, weights_only=True)["prosr"]
        assert stored["steps_done"] == expected[-1]


def test_the_end_by_time_is_validated_in_an_epoch_that_is_not(make_module, make_data, make_trainer):
    seen, module = Validations(), make_module()
    trainer = make_trainer(callbacks=[seen], max_epochs=-1, max_time={"seconds": 1}, check_val_every_n_epoch=100_000)
    trainer.fit(module, datamodule=make_data())
    assert seen.steps == [module.steps_done]


@pytest.mark.parametrize("limit", [{"max_steps": 6, "max_epochs": -1}, {"max_epochs": 1}])
def test_a_run_that_is_resumed_at_its_end_says_so(make_module, make_data, make_trainer, tmp_path, caplog, limit):
    trainer = make_trainer(**limit)
    trainer.fit(make_module(), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    assert warnings(caplog) == []
    (key, value) = next(iter(limit.items()))

    make_trainer(**limit).fit(make_module(), datamodule=make_data(), ckpt_path=tmp_path / "end.ckpt", weights_only=True)
    assert warnings(caplog) == [
        f"Nothing was left to train: the run has reached trainer.{key}={value}; raise the limit to go on."
    ]
    make_trainer(**(limit | {key: value + 1})).fit(
        make_module(), datamodule=make_data(), ckpt_path=tmp_path / "end.ckpt", weights_only=True
    )
    assert len(warnings(caplog)) == 1


def test_a_run_that_is_resumed_after_its_time_says_so(make_module, make_data, make_trainer, tmp_path, caplog):
    limit = {"max_epochs": -1, "max_time": {"seconds": 1}}
    trainer = make_trainer(**limit)
    trainer.fit(make_module(), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    make_trainer(**limit).fit(make_module(), datamodule=make_data(), ckpt_path=tmp_path / "end.ckpt", weights_only=True)
    assert warnings(caplog) == [
        "Nothing was left to train: the run has reached trainer.max_time; raise the limit to go on."
    ]


class Slow(Callback):
    """Let the clock of the second process run ahead, and record the rates of both."""

    def __init__(self, folder):
        self.folder, self.rates, self.shares = folder, [], []

    def on_train_start(self, trainer, pl_module):
        if trainer.global_rank == 1:
            (timer,) = (one for one in trainer.callbacks if type(one).__name__ == "Timer")
            timer._offset = 20

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.shares.append(run_progress(trainer))

    def on_train_end(self, trainer, pl_module):
        weights = pl_module.generator.entry.weight.detach()
        torch.save(
            {"rates": self.rates, "shares": self.shares, "weights": weights}, f"{self.folder}/{trainer.global_rank}.pt"
        )


@pytest.mark.slow  # forks, which PyTorch refuses in a worker whose threads have begun
@pytest.mark.filterwarnings("ignore:.*sync_dist=True")  # as in the command: the means are synchronised metrics
def test_two_processes_keep_to_one_clock(make_module, make_data, make_trainer, tmp_path):
    """Each reading its own, the rates differed, and after 148 steps the weights by 1.6e-5."""
    module = make_module(scheduler=partial(CosineToEnd, final_fraction=0.0), ema_decay=0)
    trainer = make_trainer(
        max_epochs=2, max_time={"seconds": 60}, devices=2, strategy="ddp_fork", callbacks=[Slow(tmp_path)], logger=False
    )
    trainer.fit(module, datamodule=make_data(val_limit=2))  # an image for each
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert len(first["rates"]) == 4  # 8 patches, 2 a batch, 2 processes, 2 epochs
    assert first["rates"] == second["rates"]
    assert first["shares"] == second["shares"]
    assert torch.equal(first["weights"], second["weights"])
