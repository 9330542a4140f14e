from __future__ import annotations

import pytest
import torch

from golden.independent import luminance
from golden.independent import picture as make_picture
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr, ycbcr_to_rgb

# MATLAB rgb2ycbcr of the corners of the RGB cube, on 0..255: from the BT.601 coefficients by hand.
GOLDEN = {
    (0, 0, 0): (16, 128, 128),
    (1, 1, 1): (235, 128, 128),
    (1, 0, 0): (81.481, 90.203, 240),
    (0, 1, 0): (144.553, 53.797, 34.214),
    (0, 0, 1): (40.966, 240, 109.786),
}


@pytest.mark.parametrize(("rgb", "ycbcr"), GOLDEN.items())
def test_golden(rgb, ycbcr):
    pixel = torch.tensor(rgb, dtype=torch.float64).view(3, 1, 1)
    assert (rgb_to_ycbcr(pixel) * 255).flatten().tolist() == pytest.approx(ycbcr, abs=1e-9)
    assert (rgb_to_luminance(pixel) * 255).item() == pytest.approx(ycbcr[0], abs=1e-9)


def test_shape_dtype_and_batch():
    rgb = torch.rand(2, 3, 4, 5)
    assert rgb_to_luminance(rgb).shape == (2, 1, 4, 5)
    assert rgb_to_luminance(rgb[0]).shape == (1, 4, 5)
    assert rgb_to_luminance(rgb).dtype == torch.float32
    assert torch.allclose(rgb_to_ycbcr(rgb)[:, :1], rgb_to_luminance(rgb), atol=1e-6)


def test_independent():
    picture = make_picture("odd")
    rgb = torch.from_numpy(picture).permute(2, 0, 1).double() / 255
    assert (rgb_to_luminance(rgb)[0] * 255).numpy() == pytest.approx(luminance(picture), abs=1e-10)


def test_round_trip_is_not_clamped():
    rgb = torch.rand(1, 3, 6, 6, dtype=torch.float64) * 2 - 0.5
    assert torch.allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-12)
    single = rgb.float()
    assert torch.allclose(ycbcr_to_rgb(rgb_to_ycbcr(single)), single, atol=1e-5)


def test_gradient():
    rgb = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rgb_to_ycbcr, (rgb,))
    assert torch.autograd.gradcheck(ycbcr_to_rgb, (rgb,))


def test_errors():
    with pytest.raises(ConfigError, match=r"shape \(\.\.\., 3, H, W\).*convert gray"):
        rgb_to_luminance(torch.zeros(1, 4, 4))
    with pytest.raises(ConfigError, match="divide 8-bit values by 255"):
        rgb_to_ycbcr(torch.zeros(3, 4, 4, dtype=torch.uint8))
