"""A network of one's own is tried before a training begins, and what it lacks is said in one line."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import DirectNetwork, Generator
from prosr_lightning.networks.trial import try_out


class Own(DirectNetwork):
    receptive_radius: Any = 1  # type: ignore[assignment]  # a class may say it so

    def __init__(self, *, scale: int = 2) -> None:
        super().__init__(scale=scale)
        self.body = nn.Conv2d(1, scale**2, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        return F.pixel_shuffle(self.body(lr), self.scale)


class WrongSize(Own):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr)[..., 1:]


class TwoChannels(Own):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr).repeat(1, 2, 1, 1)


class Pair(Own):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr), lr  # type: ignore[return-value]  # that is the test


class Detached(Own):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr).detach()


class Changing(Own):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr.sub_(0.5)) + 0.5


class ByFour(Own):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr.unflatten(-1, (-1, 4)).flatten(-2))


class Lazy(Own):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.LazyConv2d(4, 3, padding=1)


class Derived(Own):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = 2 * self.body.weight


class Fraction(Own):
    receptive_radius = 1.0


class Pooled(Own):
    def forward(self, lr: Tensor) -> Tensor:
        return super().forward(lr) + lr.mean(dim=(2, 3), keepdim=True)


class Wider(Own):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, 4, 5, padding=2)
        nn.init.zeros_(self.body.weight)  # so that nothing shows at the start


class Unmeasured(Generator):
    def __init__(self) -> None:
        super().__init__(depth=1, channels=4)
        self.fusion = nn.Sequential(self.fusion)  # which has no radius, by which the base tells its own


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WrongSize, r"WrongSize must make an image \(1, 1, 32, 32\) of luminance .*, got \(1, 1, 32, 31\)"),
        (TwoChannels, r"got \(1, 2, 32, 32\)"),
        (Pair, "got tuple"),
        (Detached, "must have parameters that its image depends on"),
        (Changing, "must leave its input as it is"),
        (ByFour, "must take images of any size, but of 14x9 it says"),
        (Lazy, "must know the shape of its parameters"),
        (Derived, "must be a module that can be copied, .*parametrizations has a weight_norm"),
        (Fraction, "`receptive_radius` of `Fraction` must be a whole number >= 0, got 1.0"),
        (Unmeasured, "`receptive_radius` of `Unmeasured` must be a whole number >= 0, got None"),
    ],
)
def test_what_a_network_lacks_is_said(kind: type[Own | Unmeasured], message: str):
    with pytest.raises(ConfigError, match=message):
        try_out(kind(), 2)


def test_what_the_code_of_a_network_raises_keeps_its_traceback():
    class Broken(Own):
        def forward(self, lr: Tensor) -> Tensor:
            return super().forward(lr.reshape(7, -1))

    with pytest.raises(RuntimeError, match=r"shape '\[7, -1\]' is invalid"):
        try_out(Broken(), 2)


def warnings_of(network: Own | Generator, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        try_out(network, 2)
    return [record.getMessage() for record in caplog.records]


def test_a_radius_that_is_too_small_is_warned_of_and_a_right_one_is_not(caplog: pytest.LogCaptureFixture):
    for kind in (Pooled, Wider):
        (said,) = warnings_of(kind(), caplog)
        assert f"`receptive_radius` of {kind.__name__} is 1, but what lies further away changes its images" in said
        kind.receptive_radius = 1_000_000
        assert warnings_of(kind(), caplog) == []
    for network in (Own(), Generator(depth=3, channels=4), Generator(depth=2, channels=4, fusion="inception")):
        before = {key: value.clone() for key, value in network.state_dict().items()}
        assert warnings_of(network, caplog) == []
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
