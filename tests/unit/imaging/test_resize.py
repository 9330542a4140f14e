from __future__ import annotations

import pytest
import torch

from golden.independent import imresize, imresize_to
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.bicubic import Resizer, bicubic_resize
from prosr_lightning.imaging.resize import bicubic_downscale, bicubic_upscale, pad_symmetric, symmetric_index
from prosr_lightning.imaging.rows import Rows

# Keys' kernel, a = -0.5, at 0.25, 0.75, 1.25 and 1.75, worked out by hand.
K025, K075, K125, K175 = 0.8671875, 0.2265625, -0.0703125, -0.0234375


def impulse(length, position):
    image = torch.zeros(1, 1, 1, length, dtype=torch.float64)
    image[..., position] = 1
    return image.expand(1, 1, length, length).clone()  # constant down the columns


def test_shapes_and_dtypes():
    image = torch.zeros(2, 3, 8, 12)
    assert bicubic_downscale(image, 4).shape == (2, 3, 2, 3)
    assert bicubic_upscale(image, 2).shape == (2, 3, 16, 24)
    assert bicubic_upscale(image.half(), 2).dtype == torch.float16
    assert bicubic_downscale(image.double(), 2).dtype == torch.float64
    assert bicubic_downscale(image, 1) is image
    assert bicubic_upscale(image, 1) is image


def test_downscale_weights_by_hand():
    # Output pixel 4 lies between input pixels 8 and 9 and sees 5 .. 12 at distances 3.5, 2.5, 1.5, 0.5, 0.5 and so on;
    # antialiasing halves distances and weights: k(1.75)/2, k(1.25)/2, k(0.75)/2, k(0.25)/2 and the mirror image.
    expected = [K175 / 2, K125 / 2, K075 / 2, K025 / 2, K025 / 2, K075 / 2, K125 / 2, K175 / 2]
    got = [bicubic_downscale(impulse(20, position), 2)[0, 0, 4, 4].item() for position in range(5, 13)]
    assert got == pytest.approx(expected, abs=1e-12)
    assert sum(expected) == 1
    assert bicubic_downscale(impulse(20, 4), 2)[0, 0, 4, 4].item() == pytest.approx(0, abs=1e-15)


def test_upscale_weights_by_hand():
    # Output pixel 8 is 0.25 pixels left of input pixel 4: distances 1.75, 0.75, 0.25, 1.25 to pixels 2 .. 5.
    got = [bicubic_upscale(impulse(10, position), 2)[0, 0, 9, 8].item() for position in (2, 3, 4, 5)]
    assert got == pytest.approx([K175, K075, K025, K125], abs=1e-12)
    # and output pixel 9 is 0.25 right of it
    got = [bicubic_upscale(impulse(10, position), 2)[0, 0, 9, 9].item() for position in (3, 4, 5, 6)]
    assert got == pytest.approx([K125, K025, K075, K175], abs=1e-12)


def test_border_mirrors_with_the_edge_pixel_repeated():
    # Upscaled pixel 0 lies at -0.25: taps at -2, -1, 0, 1 are pixels 1, 0, 0, 1.
    image = impulse(6, 0)
    assert bicubic_upscale(image, 2)[0, 0, 0, 0].item() == pytest.approx(K075 + K025, abs=1e-12)
    assert bicubic_upscale(impulse(6, 1), 2)[0, 0, 0, 0].item() == pytest.approx(K175 + K125, abs=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 2), (3, 5), (7, 4)])
def test_against_imresize_from_its_definition(rng, scale, size):
    small = rng.uniform(0, 1, size)
    large = rng.uniform(0, 1, (size[0] * scale, size[1] * scale))
    up = bicubic_upscale(torch.from_numpy(small)[None, None], scale)[0, 0].numpy()
    down = bicubic_downscale(torch.from_numpy(large)[None, None], scale)[0, 0].numpy()
    assert up == pytest.approx(imresize(small, scale), abs=1e-12)
    assert down == pytest.approx(imresize(large, 1 / scale), abs=1e-12)


@pytest.mark.parametrize("size", [(1, 3), (23, 37), (90, 200)])
@pytest.mark.parametrize("scale", [0.75, 0.675, 0.31, 1.5, 2.7])
def test_any_size_against_imresize_from_its_definition(rng, scale, size):
    image = rng.uniform(0, 1, size)
    target = [max(round(side * scale), 1) for side in size]
    expected = imresize_to(image, target)
    assert bicubic_resize(image, tuple(target)) == pytest.approx(expected, abs=1e-12)
    of_tensors = bicubic_resize(torch.from_numpy(image)[None, None], tuple(target))
    assert of_tensors[0, 0].numpy() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_any_size_is_the_whole_factor_where_it_is_one(scale):
    image = torch.rand(1, 2, 70, 9, dtype=torch.float64)
    assert torch.allclose(bicubic_resize(image, (70 * scale, 9 * scale)), bicubic_upscale(image, scale), atol=1e-12)


@pytest.mark.parametrize("target", [(61, 300), (300, 61), (150, 75)])
def test_bands_of_any_size_are_those_of_the_whole(target):
    image = torch.rand(2, 1, 200, 100)

    def bands():
        for top in range(0, 200, 7):
            yield image[..., top : top + 7, :]

    got = torch.cat(list(Resizer(Rows(bands(), height=200, width=100), target).bands()), dim=-2)
    assert torch.equal(got, bicubic_resize(image, target))


def test_single_precision_is_close(rng):
    image = torch.from_numpy(rng.uniform(0, 1, (1, 1, 32, 48)))
    assert torch.allclose(bicubic_downscale(image.float(), 4).double(), bicubic_downscale(image, 4), atol=1e-6)


def test_weights_sum_to_one_and_nothing_is_clamped():
    flat = torch.full((1, 1, 16, 16), 0.3, dtype=torch.float64)
    assert torch.allclose(bicubic_downscale(flat, 8), torch.tensor(0.3).double(), atol=1e-7)
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 8:] = 1
    enlarged = bicubic_upscale(edge, 2)
    assert enlarged.max() > 1
    assert enlarged.min() < 0


def test_gradient(rng):
    image = torch.from_numpy(rng.uniform(0, 1, (1, 1, 4, 4))).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: bicubic_downscale(one, 2), (image,))
    assert torch.autograd.gradcheck(lambda one: bicubic_upscale(one, 2), (image,))


def test_padding():
    assert symmetric_index(3, -5, 8).tolist() == [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]
    padded = pad_symmetric(torch.tensor([[1, 2], [3, 4]]), 1)
    assert padded.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_errors():
    image = torch.zeros(1, 1, 6, 9)
    with pytest.raises(ConfigError, match="divisible by scale=2, got 9x6; crop it with modcrop"):
        bicubic_downscale(image, 2)
    with pytest.raises(ConfigError, match=r"whole number >= 1, got 1\.5"):
        bicubic_upscale(image, 1.5)
    with pytest.raises(ConfigError, match="whole number"):
        bicubic_upscale(image, 0)
    with pytest.raises(ConfigError, match="floating-point"):
        bicubic_upscale(image.byte(), 2)
    with pytest.raises(ConfigError, match="floating-point"):
        bicubic_upscale(image[0], 2)
