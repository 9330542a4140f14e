from __future__ import annotations

import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks.contract import count_layers, count_parameters
from prosr_lightning.networks.discriminator import Discriminator


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.mark.parametrize(("size", "expected"), [((16, 16), (1, 1)), ((17, 64), (2, 4)), ((1, 3), (1, 1))])
def test_any_size_gives_a_logit_for_each_16_pixels(size, expected):
    logits = Discriminator(channels=2).eval()(torch.zeros(2, 1, *size))
    assert logits.shape == (2, 1, *expected)


def test_the_default_is_srgans_eight_convolutions_and_one_to_logits():
    network = Discriminator()
    assert [conv.out_channels for conv in network.convs] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [conv.stride[0] for conv in network.convs] == [1, 2, 1, 2, 1, 2, 1, 2]
    assert [type(norm).__name__ for norm in network.norms] == ["Identity"] + ["BatchNorm2d"] * 7
    assert count_layers(network) == 9
    assert f"{count_parameters(network):,} parameters" in Discriminator.__doc__


def test_the_receptive_field_is_what_a_gradient_reaches():
    network = Discriminator(channels=2).eval()
    image = torch.rand(1, 1, 160, 160, requires_grad=True)
    network(image)[0, 0, 5, 5].backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    columns = image.grad.abs().sum(dim=(0, 1, 2)).nonzero()
    for found in (rows, columns):
        assert int(found.max() - found.min()) + 1 == network.receptive_field == 93


def test_the_gain_multiplies_the_input():
    torch.manual_seed(0)
    network = Discriminator(channels=2, gain=4.0).eval()
    plain = Discriminator(channels=2, gain=1.0).eval()
    plain.load_state_dict(network.state_dict())
    residual = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(network(residual), plain(4 * residual))


def test_spectral_norm_bounds_every_weight():
    torch.manual_seed(0)
    network = Discriminator(channels=4, norm="spectral")
    for _ in range(30):
        network(torch.rand(1, 1, 16, 16))
    for conv in (*network.convs, network.to_logit):
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_judging_frozen_leaves_no_trace(norm):
    network = Discriminator(channels=2, norm=norm)
    network(torch.randn(2, 1, 32, 32)).mean().backward()
    before = state(network)
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    generated = torch.randn(2, 1, 32, 32, requires_grad=True)

    with network.frozen():
        network(generated).mean().backward()

    assert generated.grad.abs().sum() > 0
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert parameter.requires_grad
        assert torch.equal(parameter.grad, gradient)


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_after_frozen_it_learns_again(norm):
    network = Discriminator(channels=2, norm=norm)
    with network.frozen():
        network(torch.randn(2, 1, 32, 32))
    before = state(network)
    network(torch.randn(2, 1, 32, 32)).mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    changed = [key for key, value in network.state_dict().items() if not torch.equal(value, before[key])]
    assert any("running_mean" in key if norm == "batch" else "_u" in key for key in changed)


def test_frozen_judges_like_the_one_that_was_trained():
    """By the statistics of the batch, not by the running averages."""
    network = Discriminator(channels=2)
    residual = 5 * torch.randn(2, 1, 32, 32)
    with network.frozen():
        frozen = network(residual)
    torch.testing.assert_close(frozen, network(residual))
    assert not torch.allclose(frozen, network.eval()(residual))


def test_the_architecture_rebuilds_it():
    network = Discriminator(channels=3, norm="spectral", negative_slope=0.1, gain=2.0)
    assert network.architecture == {
        "_target_": "prosr_lightning.networks.Discriminator", "channels": 3, "norm": "spectral", "negative_slope": 0.1,
        "gain": 2.0,
    }  # fmt: skip
    assert Discriminator(**network.arguments).architecture == network.architecture


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "`channels` must be a whole number >= 1, got 0"),
        ({"channels": True}, "`channels` must be a whole number >= 1, got True"),
        ({"norm": "layer"}, "`norm` must be one of batch, spectral, none, got 'layer'"),
        ({"negative_slope": 1.0}, r"`negative_slope` must be in \[0, 1\), got 1.0"),
        ({"gain": 0.0}, "`gain` must be positive, got 0.0"),
    ],
)
def test_refuses_arguments_outside_their_range(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Discriminator(**arguments)
