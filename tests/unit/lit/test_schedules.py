from __future__ import annotations

import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.lit.schedules import CosineToEnd, StepDecay


@pytest.fixture
def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)


def rate(schedule, progress):
    schedule.optimizer.step()  # torch wants an optimizer to step before its schedule
    schedule.advance(progress)
    return schedule.get_last_lr()[0]


def test_cosine_falls_from_the_base_rate_to_its_fraction(optimizer):
    schedule = CosineToEnd(optimizer, final_fraction=0.1)
    assert optimizer.param_groups[0]["lr"] == 2.0
    assert [rate(schedule, share) for share in (0.0, 0.5, 1.0, 1.7)] == pytest.approx([2.0, 1.1, 0.2, 0.2])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


def test_warm_up_rises_from_a_tenth(optimizer):
    schedule = CosineToEnd(optimizer, final_fraction=0.0, warmup=0.2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)
    assert [rate(schedule, share) for share in (0.1, 0.2, 0.6)] == pytest.approx([1.1, 2.0, 1.0])


def test_steps_halve_after_each_quarter(optimizer):
    schedule = StepDecay(optimizer, drops=3, factor=0.5)
    shares = (0.0, 0.24, 0.25, 0.5, 0.76, 1.0)
    assert [rate(schedule, share) for share in shares] == pytest.approx([2.0, 2.0, 1.0, 0.5, 0.25, 0.25])


def test_state_continues_where_it_stopped(optimizer):
    schedule = CosineToEnd(optimizer, final_fraction=0.0)
    rate(schedule, 0.5)
    fresh = CosineToEnd(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0), final_fraction=0.0)
    fresh.load_state_dict(schedule.state_dict())
    assert fresh.progress == 0.5
    assert rate(fresh, 0.75) == rate(schedule, 0.75)


@pytest.mark.parametrize("limit", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 12}])
def test_the_rate_reaches_its_end_with_the_run(make_module, make_data, make_trainer, limit):
    rates = []
    module = make_module(scheduler=lambda optimizer: CosineToEnd(optimizer, final_fraction=0.0))
    step = module.lr_scheduler_step

    def watch(scheduler, metric):
        step(scheduler, metric)
        rates.append(scheduler.get_last_lr()[0])

    module.lr_scheduler_step = watch
    make_trainer(**limit).fit(module, datamodule=make_data())
    assert len(rates) == 12
    assert rates == sorted(rates, reverse=True)
    assert rates[5] == pytest.approx(0.5e-3)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_a_time_limit_drives_the_rate_too(make_module, make_data, make_trainer):
    module = make_module(scheduler=lambda optimizer: CosineToEnd(optimizer, final_fraction=0.0))
    trainer = make_trainer(max_epochs=-1, max_time={"seconds": 3})
    trainer.fit(module, datamodule=make_data())
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda optimizer: CosineToEnd(optimizer, final_fraction=1.5), "`final_fraction` must be in"),
        (lambda optimizer: CosineToEnd(optimizer, warmup=1.0), "`warmup` in"),
        (lambda optimizer: StepDecay(optimizer, factor=0.0), "`factor` in"),
        (lambda optimizer: StepDecay(optimizer, drops=-1), "`drops` must be"),
    ],
)
def test_refuses_arguments_outside_their_range(optimizer, make, message):
    with pytest.raises(ConfigError, match=message):
        make(optimizer)
