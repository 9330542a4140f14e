from __future__ import annotations

import pytest
import torch
from torch import nn

from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.networks import (
    Generator,
    SRNetwork,
    build_network,
    count_layers,
    count_parameters,
    levels_up_to,
)


@pytest.mark.parametrize(("scale", "levels"), [(2, (2,)), (4, (2, 4)), (8, (2, 4, 8)), (16, (2, 4, 8, 16))])
def test_levels_are_the_powers_of_two_up_to_the_scale(scale: int, levels: tuple[int, ...]):
    assert levels_up_to(scale) == levels


@pytest.mark.parametrize("scale", [3, 1, 0, -2, 6, 12, True, 2.0, "4", None])
def test_other_scales_are_refused(scale: object):
    with pytest.raises(ConfigError) as caught:
        levels_up_to(scale)  # type: ignore[arg-type]  # that is the test
    assert str(caught.value) == f"`scale` must be a power of two >= 2, got {scale!r}; choose 2, 4, 8 or 16."


def test_parameters_are_counted_once_and_with_biases():
    shared = nn.Conv2d(2, 3, 3)
    assert count_parameters(nn.Sequential(shared, shared)) == 3 * 2 * 9 + 3
    assert count_parameters(nn.Sequential(nn.ConvTranspose2d(2, 3, 4, bias=False), nn.BatchNorm2d(3))) == 3 * 2 * 16 + 6


def test_layers_are_convolutions_and_transposed_convolutions():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Sequential(nn.ConvTranspose2d(2, 2, 4), nn.BatchNorm2d(2)), nn.PixelShuffle(1)
    )
    assert count_layers(network) == 2


def test_the_generator_meets_the_contract_and_a_convolution_does_not():
    assert isinstance(Generator(depth=1, channels=2), SRNetwork)
    assert not isinstance(nn.Conv2d(1, 1, 3), SRNetwork)


def test_build_network_rebuilds_the_generator_with_equal_outputs():
    generator = Generator(structure="residual", depth=2, channels=4, negative_slope=0.1, fusion="inception")
    nn.init.normal_(generator.entry.weight)
    nn.init.normal_(generator.fusion.merge.weight)  # type: ignore[union-attr, arg-type]  # inception has one
    copy = build_network(generator.architecture)
    copy.load_state_dict(generator.state_dict())
    lr = torch.rand(1, 1, 4, 5)
    assert isinstance(copy, Generator)
    assert copy.architecture == generator.architecture
    assert torch.equal(copy(lr), generator(lr))


def test_build_network_does_not_change_what_it_is_given():
    architecture = {"name": "Generator", "depth": 1, "channels": 2}
    build_network(architecture)
    assert architecture == {"name": "Generator", "depth": 1, "channels": 2}


@pytest.mark.parametrize("name", ["NoSuchNetwork", "build_network", "SRNetwork", "nn", "", None])
def test_build_network_refuses_names_that_are_not_networks(name: object):
    with pytest.raises(CheckpointError) as caught:
        build_network({"name": name})
    message = str(caught.value)
    assert message.startswith(f"The architecture must be a network of this version of prosr_lightning, got {name!r}; ")
    assert message.endswith("the file may come from a newer version or from another program.")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"width": 64}, "unexpected keyword argument 'width'"),
        ({"depth": 0}, "`depth` must be a whole number >= 1, got 0"),
    ],
)
def test_build_network_reports_arguments_that_do_not_fit(arguments: dict[str, int], reason: str):
    with pytest.raises(CheckpointError, match=f"The arguments stored for Generator do not fit it: .*{reason}"):
        build_network({"name": "Generator", **arguments})
