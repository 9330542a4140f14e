from __future__ import annotations

import os
import signal
import time

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from prosr_lightning.errors import ConfigError, TrainingError
from prosr_lightning.train.callbacks import GradientNorm, KeepLast, RunMeter, Throughput


class Line(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer_ = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer_(batch).sum()

    def validation_step(self, batch, batch_idx):
        self.log("val/psnr", torch.tensor(1.0), batch_size=1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SignalAt(Callback):
    def __init__(self, number, batch=None, *, validating=False):
        self.number, self.batch, self.validating = number, batch, validating

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if not self.validating and batch_idx == self.batch:
            os.kill(os.getpid(), self.number)

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        if self.validating:
            os.kill(os.getpid(), self.number)


def fit(tmp_path, *callbacks, ckpt_path=None, **changes):
    module = Line()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        callbacks=[*callbacks, KeepLast(dirpath=tmp_path, **changes)],
    )
    ones = DataLoader(torch.ones(6, 1))
    trainer.fit(module, ones, DataLoader(torch.ones(3, 1)), ckpt_path=ckpt_path, weights_only=True)
    return trainer


def saved(tmp_path):
    return torch.load(tmp_path / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_batch_saves_and_stops(tmp_path, number):
    before = signal.getsignal(number)
    with pytest.raises(TrainingError, match=f"stopped by {number.name} at epoch 0.*ckpt_path="):
        fit(tmp_path, SignalAt(number, batch=3))
    assert saved(tmp_path)["global_step"] == 4
    assert signal.getsignal(number) is before


def test_a_signal_in_the_middle_of_validation_stops_too(tmp_path):
    with pytest.raises(TrainingError, match="stopped by SIGTERM"):
        fit(tmp_path, SignalAt(signal.SIGTERM, validating=True))
    assert saved(tmp_path)["global_step"] == 6


@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")  # the loader of this test
@pytest.mark.parametrize("where", [{"batch": 3}, {"validating": True}])
def test_a_stopped_run_goes_on_to_its_end(tmp_path, where):
    with pytest.raises(TrainingError):
        fit(tmp_path, SignalAt(signal.SIGTERM, **where))
    trainer = fit(tmp_path, ckpt_path=tmp_path / "last.ckpt")
    assert trainer.global_step == 12


def test_saves_after_each_validation_and_at_the_end(tmp_path, monkeypatch):
    steps = []
    original = Trainer.save_checkpoint
    monkeypatch.setattr(
        Trainer, "save_checkpoint", lambda self, *args: (steps.append(self.global_step), original(self, *args))
    )
    fit(tmp_path)
    assert steps == [6, 12, 12]


def test_saves_when_the_time_is_up(tmp_path, monkeypatch):
    steps = []
    original = Trainer.save_checkpoint
    monkeypatch.setattr(
        Trainer, "save_checkpoint", lambda self, *args: (steps.append(self.global_step), original(self, *args))
    )
    fit(tmp_path, every_minutes=1e-9)
    assert steps[:6] == [1, 2, 3, 4, 5, 6]


def test_refuses_a_time_that_is_not_positive(tmp_path):
    with pytest.raises(ConfigError, match="`every_minutes` must be positive, got 0"):
        KeepLast(dirpath=tmp_path, every_minutes=0)


class Pair(LightningModule):
    """A generator and a discriminator of one weight each, with known gradients: 3 x mean, and 5."""

    def __init__(self, *, manual):
        super().__init__()
        self.generator, self.discriminator = (torch.nn.Linear(1, 1, bias=False) for _ in range(2))
        self.automatic_optimization = not manual
        self.seen = []

    def training_step(self, batch, batch_idx):
        loss = 3 * self.generator(batch["lr"]).mean()
        if self.automatic_optimization:
            return loss
        of_generator, of_discriminator = self.optimizers()
        for optimizer, one in (
            (of_discriminator, 5 * self.discriminator(torch.ones(1))),
            (of_generator, loss),
        ):
            optimizer.zero_grad()
            self.manual_backward(one.sum())
            optimizer.step()
        return None

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.seen.append({name: float(value) for name, value in self.trainer.callback_metrics.items()})

    def configure_optimizers(self):
        networks = [self.generator] if self.automatic_optimization else [self.generator, self.discriminator]
        return [torch.optim.SGD(one.parameters(), lr=0.1) for one in networks]


def measure(*callbacks, manual=False, batches=4, **changes):
    module = Pair(manual=manual)
    settings = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "callbacks": list(callbacks),
    }
    trainer = Trainer(**(settings | changes))
    patches = [{"lr": torch.full((2, 1), 2.0)}] * batches
    trainer.fit(module, DataLoader(patches, batch_size=None))
    return module.seen


def test_the_gradient_is_measured_before_it_is_clipped():
    seen = measure(GradientNorm(), gradient_clip_val=0.1)
    assert [one["train/gradient_norm"] for one in seen] == pytest.approx([6.0] * 4)
    assert "train/d_gradient_norm" not in seen[-1]


def test_the_gradients_of_two_networks_are_told_apart():
    seen = measure(GradientNorm(), manual=True)
    assert [one["train/gradient_norm"] for one in seen] == pytest.approx([6.0] * 4)
    assert [one["train/d_gradient_norm"] for one in seen] == pytest.approx([5.0] * 4)


def test_throughput_is_patches_over_time_of_the_last_batches(monkeypatch):
    """Batches end at 1, 3, 7 and 15 s with two patches each; a window holds two batches."""
    ticks = iter([0.0, 1.0, 3.0, 7.0, 15.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    seen = measure(Throughput(), log_every_n_steps=2)
    assert [one["train/samples_per_second"] for one in seen] == pytest.approx([2 / 1, 4 / 3, 4 / 6, 4 / 12])


def test_throughput_leaves_validation_out():
    clock, meter = {"now": 0.0}, Throughput()
    trainer = type("Trainer", (), {"log_every_n_steps": 5, "world_size": 2})()
    logged = []
    module = type("Module", (), {"log": lambda self, name, value, batch_size: logged.append(value)})()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: clock["now"])
        meter.on_train_epoch_start(trainer, module)
        for now, validated in ((2.0, 100.0), (101.0, 101.0)):
            clock["now"] = now
            meter.on_train_batch_end(trainer, module, None, {"lr": torch.zeros(3, 1)}, 0)
            clock["now"] = validated
            meter.on_validation_end(trainer, module)
    assert logged == pytest.approx([3.0, 6.0])  # two devices


def test_the_meter_goes_on_from_a_checkpoint():
    """Two batches of two patches, and then as many again after a resumption."""
    first = RunMeter()
    measure(first, batches=2)
    assert first.samples == 4
    assert 0 < first.seconds < 60
    assert first.cpu_seconds > 0
    stopped = first.seconds
    assert first.seconds == stopped  # the clocks stand still after the end

    second = RunMeter()
    second.load_state_dict({"clocks": [100.0, 200.0], "samples": first.samples})
    measure(second, batches=2)
    assert second.samples == 8
    assert 100 < second.seconds < 160
    assert 200 < second.cpu_seconds < 320
    assert second.state_dict() == {"clocks": [second.seconds, second.cpu_seconds], "samples": 8}
