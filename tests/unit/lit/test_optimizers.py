from __future__ import annotations

import pytest
import torch

from prosr_lightning.lit.optimizers import sgd_by_layer
from prosr_lightning.networks import ESPCN, SRCNN, LapSRN, MSLapSRN


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
