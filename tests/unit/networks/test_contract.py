from __future__ import annotations

import copy
import enum
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.networks import (
    NETWORKS,
    DirectNetwork,
    Generator,
    build_network,
    count_layers,
    count_parameters,
    levels_up_to,
    network_class,
)
from prosr_lightning.networks.architecture import normalised


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


def test_our_networks_are_those_that_files_may_name_and_each_has_its_title():
    titles = {kind.__name__: kind.title for kind in NETWORKS}
    assert titles == {
        "Generator": "ProSRN", "SubPixelGenerator": "ProSRN (sub-pixel)", "MSLapSRN": "MS-LapSRN",
    } | {name: name for name in ("SRCNN", "FSRCNN", "ESPCN", "VDSR", "DRCN", "DRRN", "SRResNet", "LapSRN")}  # fmt: skip
    for kind in NETWORKS:
        assert network_class(f"prosr_lightning.networks.{kind.__name__}") is kind


class Nearest(DirectNetwork):
    """Repeat each pixel: what a user has to write, and no more."""

    receptive_radius = 0

    def __init__(self, *, scale: int, widths: Sequence[int] = (3, 5), **options: float) -> None:
        super().__init__(scale=scale)
        self.gain = nn.Parameter(torch.tensor(options.get("gain", 1.0)))

    def forward(self, lr: Tensor) -> Tensor:
        return self.gain * lr.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


class Darker(Nearest):
    """A subclass whose constructor has other arguments than its parent's."""

    title = "Nearest, darker"

    def __init__(self, *, share: float = 0.5) -> None:
        super().__init__(scale=2, gain=share)


class Same(Nearest):
    """A subclass without a constructor."""


def test_a_network_remembers_what_its_outermost_constructor_was_called_with():
    here = Nearest.__module__
    assert Nearest(scale=4, gain=2.0).architecture == {
        "_target_": f"{here}.Nearest", "scale": 4, "widths": [3, 5], "gain": 2.0
    }  # fmt: skip
    assert Darker(share=0.25).architecture == {"_target_": f"{here}.Darker", "share": 0.25}
    assert Same(scale=2).architecture == {"_target_": f"{here}.Same", "scale": 2, "widths": [3, 5]}
    assert [kind.title for kind in (Nearest, Darker, Same)] == ["Nearest", "Nearest, darker", "Same"]
    assert copy.deepcopy(Darker(share=0.25)).architecture == Darker(share=0.25).architecture


def test_a_direct_network_needs_no_more_than_its_forward_and_its_radius():
    network = Nearest(scale=4)
    lr = torch.rand(1, 1, 3, 2)
    assert network.enlarge(lr, 4).shape == (1, 1, 12, 8)
    assert list(network.supervised(lr, 4)) == [4]
    assert network.passes(4) == [(4, 0)]
    assert (network.scales, network.training_levels(4)) == ((4,), (4,))
    with pytest.raises(ConfigError, match="`scale` must be 4 for this Nearest"):
        network.passes(2)


def test_arguments_that_no_file_can_hold_are_refused_at_once():
    with pytest.raises(ConfigError, match="`widths` of Nearest must be a number, a string, .* got ReLU"):
        Nearest(scale=2, widths=[nn.ReLU()])  # type: ignore[list-item]  # that is the test

    class Loose(DirectNetwork):
        receptive_radius = 0

        def __init__(self, *widths: int) -> None:
            super().__init__(scale=2)

        def forward(self, lr: Tensor) -> Tensor:
            return lr

    with pytest.raises(ConfigError, match="`widths` of Loose must be an argument with a name"):
        Loose(1, 2)


class Counting:
    """A base beside the network, which passes on what it does not know."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)


class Mixed(Counting, Nearest):
    """The constructor of `Counting` is its outermost."""


class Mode(enum.StrEnum):
    SOFT = "soft"


class Level(enum.IntEnum):
    HIGH = 3


def test_whatever_the_constructor_is_its_arguments_are_recorded_as_plain_values():
    assert Mixed(scale=2, gain=np.float64(0.5), widths=[Level.HIGH]).arguments == {
        "scale": 2, "gain": 0.5, "widths": [3]
    }  # fmt: skip
    arguments = Nearest(scale=2, gain=np.float64(0.5), widths=[Level.HIGH]).arguments
    assert [type(value) for value in (arguments["gain"], *arguments["widths"])] == [float, int]

    class Named(Nearest):
        def __init__(self, *, mode: str = Mode.SOFT) -> None:
            super().__init__(scale=2)

    assert (Named().arguments, type(Named().arguments["mode"])) == ({"mode": "soft"}, str)


def test_an_incomplete_network_is_not_built():
    class Incomplete(DirectNetwork):
        receptive_radius = 0

    with pytest.raises(TypeError, match="forward"):
        Incomplete(scale=2)  # type: ignore[abstract]  # that is the test


def test_a_network_of_others_is_rebuilt_only_if_it_is_trusted():
    architecture = Darker(share=0.25).architecture
    path = architecture["_target_"]
    with pytest.raises(CheckpointError) as caught:
        build_network(architecture)
    for key in (f"trusted_networks=[{path}]", f"--trust {path}", f'trust=["{path}"]'):
        assert key in str(caught.value)
    rebuilt = build_network(architecture, trust=[Darker])
    assert isinstance(rebuilt, Darker)
    assert rebuilt.architecture == architecture
    with pytest.raises(CheckpointError, match="a trusted one, got"):
        build_network(architecture, trust=[Nearest])
    moved = build_network(architecture | {"_target_": "__main__.Darker"}, trust=[Darker])  # of a notebook, say
    assert moved.architecture == architecture


def test_a_path_is_imported_only_if_the_user_gave_it(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(
        "from prosr_lightning.networks import VDSR\n\n\nclass Shallow(VDSR):\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    architecture = {"_target_": "own_networks.Shallow", "scale": 2, "depth": 2, "channels": 3}
    with pytest.raises(CheckpointError, match="a trusted one, got 'own_networks.Shallow'"):
        build_network(architecture)
    assert "own_networks" not in sys.modules
    assert build_network(architecture, trust=["own_networks.Shallow"]).architecture == architecture
    monkeypatch.delitem(sys.modules, "own_networks")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.Network", "must be the path of a class that can be imported, .* got 'nowhere.Network'"),
        ("Network", "must be the path of a class that can be imported"),
        ("collections.Counter", "must be a subclass of prosr_lightning.networks.SRNetwork, got 'collections.Counter'"),
        ("os.getcwd", "must be a subclass"),
    ],
)
def test_a_trusted_path_must_be_that_of_a_network(path: str, message: str):
    with pytest.raises(ConfigError, match=message):
        build_network({"_target_": path}, trust=[path])


def test_build_network_rebuilds_the_generator_with_equal_outputs():
    generator = Generator(structure="residual", depth=2, channels=4, negative_slope=0.1, fusion="inception")
    nn.init.normal_(generator.entry.weight)
    nn.init.normal_(generator.fusion.merge.weight)  # type: ignore[union-attr, arg-type]  # inception has one
    rebuilt = build_network(generator.architecture)
    rebuilt.load_state_dict(generator.state_dict())
    lr = torch.rand(1, 1, 4, 5)
    assert isinstance(rebuilt, Generator)
    assert rebuilt.architecture == generator.architecture
    assert torch.equal(rebuilt(lr), generator(lr))


def test_build_network_does_not_change_what_it_is_given():
    architecture = Generator(depth=1, channels=2).architecture
    before = dict(architecture)
    build_network(architecture)
    assert architecture == before


def test_an_architecture_of_earlier_versions_is_that_of_today():
    earlier = {"name": "Generator", "structure": "plain", "depth": 2, "channels": 4}
    network = build_network(earlier)
    assert isinstance(network, Generator)
    assert normalised({"name": "Generator", **network.arguments}) == network.architecture


@pytest.mark.parametrize("name", ["NoSuchNetwork", "build_network", "SRNetwork", "Discriminator", "nn", ""])
def test_build_network_refuses_names_that_are_not_networks(name: str):
    for architecture in ({"name": name}, {"_target_": f"prosr_lightning.networks.{name}"}):
        with pytest.raises(CheckpointError, match=f"must be a network .*, got 'prosr_lightning.networks.{name}'"):
            build_network(architecture)
    for architecture in ({}, {"name": None}, {"_target_": None}):
        with pytest.raises(CheckpointError, match="The architecture must be a network"):
            build_network(architecture)


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
