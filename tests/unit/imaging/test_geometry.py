from __future__ import annotations

import pytest
import torch

from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.imaging.geometry import (
    NUM_SYMMETRIES,
    _symmetries_at_once,
    apply_symmetries,
    modcrop,
    shave,
    symmetry,
    undo_symmetry,
)


def grid(height, width):
    return torch.arange(height * width).view(1, 1, height, width)


def test_modcrop_keeps_the_top_left():
    cropped = modcrop(grid(7, 9), 4)
    assert cropped.shape == (1, 1, 4, 8)
    assert cropped[0, 0, 0, 0] == 0
    assert cropped[0, 0, 3, 7] == 3 * 9 + 7
    assert torch.equal(modcrop(grid(8, 12), 4), grid(8, 12))


def test_shave_takes_the_same_from_all_sides():
    assert shave(grid(5, 6), 2).tolist() == [[[[14, 15]]]]
    assert torch.equal(shave(grid(5, 6), 0), grid(5, 6))


def test_symmetries_are_eight_and_invertible():
    image = grid(3, 5)
    images = {tuple(symmetry(image, code).flatten().tolist()) for code in range(NUM_SYMMETRIES)}
    assert len(images) == 8
    for code in range(NUM_SYMMETRIES):
        assert torch.equal(undo_symmetry(symmetry(image, code), code), image)


def test_symmetry_golden():
    image = torch.tensor([[1, 2], [3, 4]])
    assert symmetry(image, 1).tolist() == [[2, 1], [4, 3]]
    assert symmetry(image, 2).tolist() == [[3, 4], [1, 2]]
    assert symmetry(image, 4).tolist() == [[1, 3], [2, 4]]
    assert symmetry(image, 5).tolist() == [[2, 4], [1, 3]]  # flipped left-right first, then transposed


@pytest.mark.parametrize("apply_symmetries", [apply_symmetries, _symmetries_at_once])  # the second is for accelerators
def test_apply_symmetries_agrees_with_one_at_a_time(apply_symmetries):
    images = torch.rand(8, 2, 5, 5)
    codes = torch.randperm(8)
    together = apply_symmetries(images, codes)
    for image, code, result in zip(images, codes.tolist(), together, strict=True):
        assert torch.equal(result, symmetry(image, code))


def test_errors():
    with pytest.raises(ImageError, match="at least 8x8 pixels, got 9x7"):
        modcrop(grid(7, 9), 8)
    with pytest.raises(ImageError, match="leave pixels to score, got 3 on an image of 9x6"):
        shave(grid(6, 9), 3)
    with pytest.raises(ImageError, match="border"):
        shave(grid(6, 9), -1)
    with pytest.raises(ConfigError, match="0 to 7, got 8"):
        symmetry(grid(2, 2), 8)
    with pytest.raises(ConfigError, match="0 to 7"):
        undo_symmetry(grid(2, 2), -1)
    with pytest.raises(ConfigError, match="square"):
        apply_symmetries(torch.zeros(1, 1, 2, 3), torch.zeros(1))
