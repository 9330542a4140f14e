from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut

from prosr_lightning.imaging.blur import blur, gaussian_kernels


@pytest.mark.parametrize("sigma", [0.5, 1.3, 2.0])
def test_a_round_gaussian_is_scipys(sigma):
    image = torch.from_numpy(astronaut()[:90, :70].copy()).permute(2, 0, 1)[None].double()
    ours = blur(image, gaussian_kernels(torch.full((2, 1), sigma), torch.zeros(1)))
    for plane, expected in zip(ours[0], image[0], strict=True):
        theirs = gaussian_filter(expected.numpy(), sigma, mode="nearest", radius=math.ceil(3 * sigma))
        assert np.abs(plane.numpy() - theirs).max() < 1e-3


@pytest.mark.parametrize("angle", [0.0, 0.6, math.pi / 2, 2.5])
def test_an_ellipse_has_its_deviations_along_its_axes(angle):
    (kernel,) = gaussian_kernels(torch.tensor([[3.0], [1.0]]).double(), torch.tensor([angle]).double())
    line = torch.arange(len(kernel)) - len(kernel) // 2
    x, y = line[None].double(), line[:, None].double()
    covariance = torch.tensor([[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)]).double()
    axis = torch.tensor([math.cos(angle), math.sin(angle)]).double()
    across = torch.tensor([-axis[1], axis[0]]).double()
    assert (axis @ covariance @ axis).sqrt().item() == pytest.approx(3, rel=0.03)  # cut at three deviations
    assert (across @ covariance @ across).sqrt().item() == pytest.approx(1, rel=0.03)
    assert kernel.sum().item() == pytest.approx(1)


def test_each_image_has_its_own_kernel_and_0_leaves_it_alone():
    images = torch.rand(2, 3, 20, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        blurred = blur(images, gaussian_kernels(torch.tensor([[0.0, 2.0], [0.0, 2.0]]), torch.zeros(2)))
    torch.testing.assert_close(blurred[0], images[0], atol=1e-6, rtol=0)
    alone = blur(images[1:], gaussian_kernels(torch.full((2, 1), 2.0), torch.zeros(1)))
    torch.testing.assert_close(blurred[1:], alone)
