"""Optimizers that average the weights, treat kernels as matrices, or have a rate for each kind of layer."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.lit.optimizers import (
    AdjustablyClippedSGD,
    average_of,
    compact_state,
    muon,
    schedule_free,
    sgd_by_layer,
)
from prosr_lightning.networks import ESPCN, SRCNN, LapSRN, MSLapSRN, SubPixelGenerator


def make_network() -> SubPixelGenerator:
    torch.manual_seed(0)
    return SubPixelGenerator(depth=2, channels=8)


def train(network, optimizer, steps: int) -> None:
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        lr = torch.rand(2, 1, 8, 8, generator=generator)
        optimizer.zero_grad()
        (network(lr) - torch.rand(2, 1, 16, 16, generator=generator)).square().mean().backward()
        optimizer.step()


def test_the_average_is_the_mean_of_the_base_iterates():
    network = make_network()
    optimizer = schedule_free(network.parameters(), lr=1e-2, warmup_steps=0)
    iterates = []
    for _ in range(5):
        train(network, optimizer, 1)
        iterates.append([optimizer.state[one]["z"].clone() for one in network.parameters()])
    average = average_of(optimizer)
    for number, parameter in enumerate(network.parameters()):
        expected = torch.stack([values[number] for values in iterates]).mean(0)
        torch.testing.assert_close(average(parameter), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_vdsr_clips_the_gradient_and_not_its_scale(fused):
    """A fused step undoes the scaling of float16 by itself, so what is clipped before it is still scaled."""
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = AdjustablyClippedSGD([weight], lr=0.1, clip=0.01, momentum=0.0, weight_decay=0.0, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((weight * torch.tensor([0.05, 5.0, -5.0])).sum()).backward()
    scaler.step(optimizer) if fused else (scaler.unscale_(optimizer), scaler.step(optimizer))
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.005, -0.01, 0.01]))


def test_drrn_clips_the_length_of_the_whole_gradient():
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = AdjustablyClippedSGD([first, second], lr=0.1, clip=0.01, whole=True, momentum=0.0, weight_decay=0.0)
    (3 * first + 4 * second).sum().backward()  # of length 5, where 0.01 / 0.1 is allowed
    optimizer.step()
    torch.testing.assert_close(torch.cat([first, second]).detach(), torch.tensor([-0.006, -0.008]), rtol=1e-4, atol=0)


def test_other_optimizers_have_no_average():
    assert average_of(torch.optim.Adam(make_network().parameters())) is None


def test_muon_gets_the_kernels_between_features_and_adamw_the_rest():
    network = make_network()
    kernels, others = muon(network.parameters()).param_groups
    by_muon = {name for name, value in network.named_parameters() if any(value is one for one in kernels["params"])}
    assert by_muon == {"convs.0.weight", "convs.1.weight", "merge.weight"}
    assert len(others["params"]) == len(list(network.parameters())) - 3
    assert (kernels["use_muon"], others["use_muon"]) == (True, False)


@pytest.mark.parametrize("factory", [schedule_free, muon])
def test_they_lower_a_loss(factory):
    network = make_network()
    optimizer = factory(network.parameters())
    lr, hr = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 16, 16)
    before = (network(lr) - hr).square().mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = (network(lr) - hr).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.9 * before


@pytest.mark.parametrize("factory", [schedule_free, muon])
@pytest.mark.parametrize("split", [3, 4])
def test_resuming_is_bit_exact(make_module, make_data, make_trainer, tmp_path, factory, split):
    def run(max_steps, ckpt_path=None):
        trainer = make_trainer(max_epochs=-1, max_steps=max_steps)
        module = make_module(generator=make_network(), optimizer=partial(factory, lr=1e-3))
        trainer.fit(module, datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True)
        return trainer, module

    _, whole = run(7)
    run(split)[0].save_checkpoint(tmp_path / "part.ckpt")
    _, resumed = run(7, tmp_path / "part.ckpt")
    for (key, expected), value in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, value), key


def test_what_is_validated_and_saved_is_the_average(make_module, make_data, make_trainer, tmp_path):
    module = make_module(generator=make_network(), optimizer=partial(schedule_free, lr=1e-3, warmup_steps=0))
    trainer = make_trainer()
    trainer.fit(module, datamodule=make_data())
    average = average_of(trainer.optimizers[0])
    expected = [average(one) for one in module.generator.parameters()]
    assert not all(torch.equal(one, own) for one, own in zip(expected, module.generator.parameters(), strict=True))
    for value, kept in zip(expected, module.network.parameters(), strict=True):
        torch.testing.assert_close(kept, value)

    with torch.no_grad():
        for kept in module.network.parameters():
            kept.zero_()  # as after further updates: out of date
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    state = torch.load(tmp_path / "run.ckpt", weights_only=True)["state_dict"]
    for (name, _), value in zip(module.generator.named_parameters(), expected, strict=True):
        torch.testing.assert_close(state[f"ema_generator.module.{name}"], value)


def test_an_average_needs_its_place(make_module, make_data, make_trainer):
    module = make_module(optimizer=partial(schedule_free, lr=1e-3), ema_decay=0)
    with pytest.raises(ConfigError, match="`ema_decay` must be above 0 with a schedule-free optimizer"):
        make_trainer().fit(module, datamodule=make_data())


def rates(network, **settings):
    """The rate of each parameter, by its name."""
    optimizer = sgd_by_layer(network.parameters(), lr=1.0, **settings)
    of = {parameter: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    return {name: of[parameter] for name, parameter in network.named_parameters()}


def test_the_last_layer_has_a_rate_of_its_own():
    found = list(rates(ESPCN(scale=2), last_lr=0.1).values())
    assert found == [1.0] * (len(found) - 2) + [0.1, 0.1]


def test_biases_and_the_last_layer_of_srcnn():
    """The multipliers of the authors' SRCNN_net.prototxt: 1 and 0.1, 1 and 0.1, 0.1 and 0.1."""
    assert list(rates(SRCNN(scale=2), last_lr=0.1, bias_lr=0.1).values()) == [1.0, 0.1, 1.0, 0.1, 0.1, 0.1]


@pytest.mark.parametrize("network", [LapSRN(scale=4, depth=2, channels=4), MSLapSRN(depth=2, recursions=2, channels=4)])
def test_biases_of_the_pyramids_have_a_rate_of_their_own(network):
    found = rates(network, bias_lr=0.1)
    assert {name: rate for name, rate in found.items() if rate == 0.1}.keys() == {
        name for name in found if name.endswith("bias")
    }
    assert len(set(found.values())) == 2


def test_a_step_follows_the_rates():
    network = SRCNN(scale=2)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = sgd_by_layer(network.parameters(), lr=1.0, last_lr=0.25, bias_lr=0.5, momentum=0.0)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    steps = [float((old - new.detach()).mean()) for old, new in zip(before, network.parameters(), strict=True)]
    assert steps == pytest.approx([1.0, 0.5, 1.0, 0.5, 0.25, 0.25], abs=1e-5)


def test_a_single_rate_is_plain_sgd():
    (group,) = sgd_by_layer(SRCNN(scale=2).parameters(), lr=0.5, weight_decay=0.1).param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"], len(group["params"])) == (0.5, 0.9, 0.1, 6)


def test_a_compact_state_has_half_the_size_and_goes_on(make_module, make_data, make_trainer, tmp_path):
    def run(max_steps, ckpt_path=None, lr=1e-3):
        trainer = make_trainer(max_epochs=-1, max_steps=max_steps)
        network = SubPixelGenerator(depth=4, channels=16)
        module = make_module(generator=network, optimizer=partial(schedule_free, lr=lr, warmup_steps=0))
        trainer.fit(module, datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True)
        return trainer, module

    trainer, module = run(6)
    trainer.save_checkpoint(tmp_path / "whole.ckpt")
    whole = torch.load(tmp_path / "whole.ckpt", weights_only=True)
    torch.save(compact_state(whole), tmp_path / "compact.ckpt")
    sizes = [(tmp_path / name).stat().st_size for name in ("compact.ckpt", "whole.ckpt")]
    assert sizes[0] < 0.6 * sizes[1]

    average = {key: value.clone() for key, value in module.network.state_dict().items()}
    _, same = run(6, tmp_path / "compact.ckpt")  # no further update
    for key, value in same.network.state_dict().items():
        torch.testing.assert_close(value, average[key], atol=1e-6, rtol=0)
    _, expected = run(9, tmp_path / "whole.ckpt")
    _, resumed = run(9, tmp_path / "compact.ckpt")
    for own, other in zip(expected.generator.parameters(), resumed.generator.parameters(), strict=True):
        assert float((own - other).detach().abs().max()) < 2e-4  # a fifth of one step of the rate

    adam = make_trainer()
    adam.fit(make_module(), datamodule=make_data())
    adam.save_checkpoint(tmp_path / "adam.ckpt")
    other_state = torch.load(tmp_path / "adam.ckpt", weights_only=True)
    assert compact_state(other_state) is other_state
