from __future__ import annotations

import numpy as np
import pytest

from prosr_lightning.errors import ConfigError
from prosr_lightning.pictures.comparison import Panel, comparison, detailed_window


def test_finds_the_square_with_the_most_detail(rng):
    image = np.full((90, 120, 3), 128, dtype=np.uint8)
    image[40:72, 80:112] = rng.integers(0, 256, (32, 32, 3))
    top, left = detailed_window(image, 32)
    assert abs(top - 40) <= 4
    assert abs(left - 80) <= 4


def test_the_window_stays_inside_a_small_image(rng):
    assert detailed_window(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), 64)[0] == 0


def test_shows_the_same_scene_of_small_and_large_panels():
    original = np.zeros((64, 64, 3), dtype=np.uint8)
    original[32:48, 16:32] = (200, 0, 0)
    lr = original[::4, ::4]
    drawing = comparison(
        [[Panel(caption="LR", image=lr), Panel(caption="original", image=original)]], window=(32, 16), side=16, zoom=2
    )
    first, second = drawing[8:40, 8:40], drawing[8:40, 48:80]
    assert (first == (200, 0, 0)).all()
    assert (second == (200, 0, 0)).all()


def test_a_row_for_each_scale_with_captions_below():
    panel = Panel(caption="a caption", image=np.zeros((32, 32, 3), dtype=np.uint8))
    one = comparison([[panel, panel]], window=(0, 0), side=16)
    two = comparison([[panel, panel]] * 2, window=(0, 0), side=16)
    assert one.shape[1] == two.shape[1]
    assert two.shape[0] > 1.8 * one.shape[0] - 16
    below = one[8 + 48 : -8, 8 : 8 + 48]
    assert (below < 255).any(), "the caption is drawn"


def test_refuses_to_draw_nothing():
    with pytest.raises(ConfigError, match="at least one panel"):
        comparison([], window=(0, 0), side=16)
