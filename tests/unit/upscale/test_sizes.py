"""How large a result is: each way to say it, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import power_of_two
from prosr_lightning.upscale.sizes import Enlarged


@pytest.mark.parametrize(
    ("how", "expected", "suffix"),
    [
        ({"scale": 3}, (300, 150), "_x3"),
        ({"scale": 1.5}, (150, 75), "_x1.5"),
        ({"scale": 2.0}, (200, 100), "_x2"),
        ({"scale": 1.25}, (125, 63), "_x1.25"),  # 62.5 is rounded up
        ({"width": 1001}, (1001, 501), "_w1001"),
        ({"height": 51}, (102, 51), "_h51"),
        ({"fit": (400, 100)}, (200, 100), "_400x100"),
        ({"fit": (180, 1000)}, (180, 90), "_180x1000"),
        ({"megapixels": 0.02}, (200, 100), "_0.02mp"),
        ({"size": (111, 222)}, (111, 222), "_111x222"),
        ({"scale": np.float64(16)}, (1600, 800), "_x16"),
        ({"width": np.int64(200)}, (200, 100), "_w200"),
    ],
)
def test_sizes_of_a_picture_of_100_by_50(how: dict[str, Any], expected: tuple[int, int], suffix: str) -> None:
    assert Enlarged(**how).of(100, 50) == expected
    assert Enlarged(**how).suffix == suffix


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "must say how large, got none"),
        ({"scale": 2, "width": 300}, "got scale and width; keep one"),
        ({"scale": "4"}, "`scale` must be a number, got '4'"),
        ({"scale": True}, "`scale` must be a number, got True"),
        ({"scale": 1}, "above 1 and at most 16, got 1"),
        ({"scale": -2}, "above 1 and at most 16, got -2"),
        ({"scale": float("inf")}, "above 1 and at most 16, got inf"),
        ({"width": 100.5}, r"`width` must be a whole number, got 100\.5"),
        ({"height": 0}, "`height` must be above 0"),
        ({"fit": (100,)}, "`fit` must be two whole numbers"),
        ({"size": (100, -1)}, "`size` must be above 0"),
        ({"megapixels": float("nan")}, "`megapixels` must be above 0 and at most"),
        ({"size": (10**400, 1)}, r"above 0 and at most 2147483647, got \(1000.{0,40}000, 1\)"),
    ],
)
def test_wrong_wishes_are_named(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Enlarged(**how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"width": 99}, "must be larger than the picture, got 100x50 to 99x50; a network does not shrink"),
        ({"size": (200, 49)}, "got 100x50 to 200x49; a network does not shrink"),
        ({"fit": (100, 50)}, "got 100x50 to 100x50; leave the picture as it is"),
        ({"megapixels": 0.001}, "does not shrink"),
        ({"height": 801}, "at most 16 times the picture, got 100x50 to 1602x801"),
        ({"size": (100, 801)}, "at most 16 times the picture"),
    ],
)
def test_what_would_shrink_or_reach_beyond_16_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Enlarged(**how).of(100, 50)


def test_the_passes_go_to_the_next_power_of_two() -> None:
    assert [power_of_two(factor) for factor in (1.01, 2, 2.01, 4, 4.5, 8, 15.9, 16)] == [2, 2, 4, 4, 8, 8, 16, 16]
