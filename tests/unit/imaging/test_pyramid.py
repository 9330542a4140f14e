from __future__ import annotations

import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.degradation import Bicubic, Degradation, patch_margin
from prosr_lightning.imaging.pyramid import level_pyramid
from prosr_lightning.imaging.resize import bicubic_downscale


def test_shapes_of_every_level():
    side = 32 + 2 * patch_margin(8)
    lr, targets = level_pyramid(torch.rand(3, 1, side, side), scale=8, levels=[2, 4, 8])
    assert lr.shape == (3, 1, 4, 4)
    assert {level: tuple(image.shape) for level, image in targets.items()} == {
        2: (3, 1, 8, 8),
        4: (3, 1, 16, 16),
        8: (3, 1, 32, 32),
    }


def test_the_largest_level_is_the_patch_itself():
    side = 8 + 2 * patch_margin(2)
    patches = torch.rand(1, 1, side, side)
    _, targets = level_pyramid(patches, scale=2, levels=[2])
    assert torch.equal(targets[2], patches[..., 4:-4, 4:-4])


def test_nothing_outside_the_margin_reaches_the_patch():
    """The margin is wide enough: changing its outermost pixels at each factor leaves LR as it is."""
    side = 16 + 2 * patch_margin(4)
    patches = torch.rand(1, 1, side, side, dtype=torch.float64)
    changed = patches.clone()
    changed[..., :2, :] += 1  # the kernel reaches 1.5 LR pixels = 6 HR pixels beyond the patch, of a margin of 8
    assert torch.equal(level_pyramid(patches, scale=4, levels=[4])[0], level_pyramid(changed, scale=4, levels=[4])[0])
    changed[..., 2:3, :] += 1
    assert not torch.equal(
        level_pyramid(patches, scale=4, levels=[4])[0], level_pyramid(changed, scale=4, levels=[4])[0]
    )


@pytest.mark.parametrize(
    ("side", "levels", "message"),
    [(30, [4], "patch side must be a multiple of scale=4"), (32, [8], "`levels` must divide scale=4")],
)
def test_refuses_what_does_not_fit(side, levels, message):
    with pytest.raises(ConfigError, match=message):
        level_pyramid(torch.rand(1, 1, side, side), scale=4, levels=levels)


class Plain(Degradation):
    """Bicubic as somebody else would write it."""

    def __call__(self, hr, scale, *, draw):
        return bicubic_downscale(hr, scale)


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
def test_bicubic_of_patches_is_that_of_whole_images_bit_for_bit(scale):
    side = 2 * scale + 2 * patch_margin(scale)
    patches = torch.rand(5, 1, side, side)
    fast, targets = level_pyramid(patches, scale=scale, levels=[scale, 2], degradation=Bicubic())
    slow, same = level_pyramid(patches, scale=scale, levels=[scale, 2], degradation=Plain())
    assert torch.equal(fast, slow)
    assert torch.equal(fast, level_pyramid(patches, scale=scale, levels=[2])[0])
    assert all(torch.equal(targets[level], same[level]) for level in targets)


@pytest.mark.parametrize(
    ("margin", "result", "message"),
    [
        (
            4,
            torch.zeros(1, 1, 12, 12),
            "`margin` of the degradation Wrong must be a multiple of scale=4 from 8 up, got 4",
        ),
        (10, torch.zeros(1, 1, 12, 12), "`margin` of the degradation Wrong must be a multiple of scale=4"),
        (
            16,
            torch.zeros(1, 1, 11, 12),
            r"must shrink \(1, 1, 48, 48\) by 4 to \(1, 1, 12, 12\) .*, got \(1, 1, 11, 12\)",
        ),
        (16, torch.zeros(1, 3, 12, 12), "let it keep N, C and the dtype"),
        (
            16,
            torch.zeros(1, 1, 12, 12, dtype=torch.float64),
            r"in torch.float32, got \(1, 1, 12, 12\) in torch.float64",
        ),
    ],
)
def test_a_degradation_that_does_not_fit_is_named(margin, result, message):
    class Wrong(Degradation):
        def margin(self, scale):
            return margin

        def __call__(self, hr, scale, *, draw):
            return result

    with pytest.raises(ConfigError, match=message):
        level_pyramid(torch.rand(1, 1, 48, 48), scale=4, levels=[4], degradation=Wrong())


class Fading(Degradation):
    def __call__(self, hr, scale, *, draw):
        return bicubic_downscale(hr.mul_(0.5), scale)


def test_a_degradation_that_changes_what_it_gets_does_not_change_the_truth():
    hr = torch.rand(1, 1, 24, 24)
    before = hr.clone()
    lr = Fading().applied(hr, 2, draw=())
    assert torch.equal(hr, before)
    torch.testing.assert_close(lr, bicubic_downscale(0.5 * before, 2))
