"""A degradation as a user would write one, whose results are known."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.imaging.degradation import Degradation, Draw
from prosr_lightning.imaging.resize import bicubic_downscale, pad_symmetric

RADIUS = 3


class Soft(Degradation):
    """Blur by the mean of 7x7 pixels, shrink, and make the image brighter by a random amount."""

    name = "soft"  # type: ignore[assignment]  # a constant will do

    def __init__(self) -> None:
        self.draws: list[Draw] = []

    def margin(self, scale: int) -> int:
        """The blur reaches beyond the shrinking."""
        return super().margin(scale) + -(-RADIUS // scale) * scale

    def __call__(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Blur and shrink each plane."""
        self.draws.append(draw)
        blurred = F.avg_pool2d(pad_symmetric(hr, RADIUS), 2 * RADIUS + 1, stride=1)
        return bicubic_downscale(blurred, scale) + brightness(draw)


def brightness(draw: Draw) -> float:
    """What `Soft` adds."""
    return float(np.random.default_rng(draw).uniform(0, 0.05))
