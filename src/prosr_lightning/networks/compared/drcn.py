"""DRCN: Kim et al., "Deeply-Recursive Convolutional Network for Image Super-Resolution", CVPR 2016."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks.compared.base import radius_before_bicubic, require_counts, zero_biases
from prosr_lightning.networks.contract import DirectNetwork


class DRCN(DirectNetwork):
    """Embed the bicubic image, apply one convolution again and again, reconstruct after every recursion, and average.

    1,775,121 parameters at the defaults: 5 convolutions and the 16 weights of the average, which are learned.

    Args:
        scale: The one factor, a power of two from 2 up.
        recursions: D, how often the shared convolution is applied.
        channels: Feature maps of every convolution.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        `progressive` gives the average alone, which every prediction's gradient passes through; `supervised` adds the
        predictions themselves, for the paper's loss: alpha * (mean of their losses) + (1 - alpha) * (loss of the
        average), alpha falling from 1 to 0. Start: the shared convolution is the identity, the others are He's
        (Sec. 3.2), but for the last, which starts at zero and so from the bicubic image. It has no ReLU, for a residual
        can be negative.
    """

    def __init__(self, *, scale: int, recursions: int = 16, channels: int = 256) -> None:
        super().__init__(scale=scale)
        require_counts({"recursions": recursions, "channels": channels})
        self.recursions, self.channels = recursions, channels
        self.embedding = nn.ModuleList(
            [nn.Conv2d(1, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)]
        )
        self.recursion = nn.Conv2d(channels, channels, 3, padding=1)
        first, last = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, 1, 3, padding=1)
        self.reconstruction = nn.ModuleList([first, last])
        self.average = nn.Parameter(torch.full((recursions,), 1 / recursions))
        for conv in (*self.embedding, first):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(last.weight)
        nn.init.dirac_(self.recursion.weight)
        zero_biases(self)

    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""
        return self._average(self._predictions(lr))

    def supervised(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, list[Tensor]]:
        """Return, for the one level, the averaged image and then the prediction after every recursion."""
        self.require_scale(scale)
        predictions = self._predictions(lr)
        return {scale: [self._average(predictions), *predictions]}

    @property
    def receptive_radius(self) -> int:
        """The radius in `lr` pixels: one pixel of the bicubic image per layer (41x41), and the bicubic kernel."""
        return radius_before_bicubic(2 + self.recursions + 2, self.scale)

    def _predictions(self, lr: Tensor) -> list[Tensor]:
        lr_up = bicubic_upscale(lr, self.scale)
        features = lr_up
        for conv in self.embedding:
            features = F.relu(conv(features), inplace=True)
        predictions = []
        first, last = self.reconstruction
        for _ in range(self.recursions):
            features = F.relu(self.recursion(features), inplace=True)
            predictions.append(lr_up + last(F.relu(first(features), inplace=True)))
        return predictions

    def _average(self, predictions: list[Tensor]) -> Tensor:
        return torch.stack([weight * image for weight, image in zip(self.average, predictions, strict=True)]).sum(dim=0)
