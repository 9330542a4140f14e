"""Under autocast, the residual image may be computed in bfloat16; the image itself must not be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from prosr_lightning import networks

SMALL: dict[str, dict[str, Any]] = {
    "Generator": {"depth": 2, "channels": 8},
    "SubPixelGenerator": {"depth": 2, "channels": 8},
    "SRCNN": {"scale": 4, "channels": (16, 8)},
    "FSRCNN": {"scale": 4, "channels": 16, "shrunk": 6, "mappings": 2},
    "ESPCN": {"scale": 4, "channels": (16, 8)},
    "VDSR": {"scale": 4, "depth": 5, "channels": 16},
    "DRCN": {"scale": 4, "recursions": 3, "channels": 16},
    "DRRN": {"scale": 4, "units": 3, "channels": 16},
    "SRResNet": {"scale": 4, "blocks": 2, "channels": 16},
    "LapSRN": {"scale": 4, "depth": 3, "channels": 16},
    "MSLapSRN": {"depth": 2, "recursions": 2, "channels": 16},
}
NETWORKS = [kind.__name__ for kind in networks.NETWORKS]


@pytest.fixture(scope="module")
def lr() -> Tensor:
    """Flat areas among waves: where all pixels are rounded alike, no convolution averages the error away."""
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(14.0), indexing="ij")
    image = 0.5 + 0.3 * torch.sin(columns / 5) + 0.15 * torch.cos(rows / 3)
    image[:5, :5], image[7:, 8:] = 0.7129, 0.9431
    return image[None, None]


@pytest.mark.parametrize("name", NETWORKS)
def test_images_are_float32_and_right_to_a_fraction_of_a_gray_level(name: str, lr: Tensor):
    torch.manual_seed(1)
    network = getattr(networks, name)(**SMALL[name])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.005)
        for _ in range(3):
            network.progressive(lr, 4)  # statistics of batch norm
        network.eval()
        levels = network.supervised(lr, 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = network.supervised(lr, 4)
    assert levels.keys() == mixed.keys()
    for level, images in levels.items():
        for image, other in zip(images, mixed[level], strict=True):
            assert other.dtype == torch.float32
            assert float((image - other).abs().max()) < 0.5 / 255


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_pass_under_autocast(name: str, lr: Tensor):
    network = getattr(networks, name)(**SMALL[name])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images = network.supervised(lr, 4)
    sum(image.square().sum() for level in images.values() for image in level).backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.requires_grad]
    assert all(one is not None and one.dtype == torch.float32 and one.isfinite().all() for one in gradients)
