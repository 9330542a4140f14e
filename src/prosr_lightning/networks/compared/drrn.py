"""DRRN: Tai et al., "Image Super-Resolution via Deep Recursive Residual Network", CVPR 2017."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks.compared.base import radius_before_bicubic, require_counts, zero_biases
from prosr_lightning.networks.contract import DirectNetwork


class DRRN(DirectNetwork):
    """Add a residual image, learned by recursive blocks of residual units with shared weights, to the bicubic image.

    B1U25 has 297,216 weights of convolutions, 1 bias and 13,058 values of batch norm.

    Args:
        scale: The one factor, a power of two from 2 up.
        blocks: B, recursive blocks, each with weights of its own.
        units: U, residual units of a block, all with the same two convolutions.
        channels: Feature maps of every convolution.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        Batch norm and ReLU precede every convolution, and batch norm is not shared among units (the authors' files);
        the biases that it would cancel are left out. He's start, but for the last convolution, which starts at zero and
        so from the bicubic image.
    """

    def __init__(self, *, scale: int, blocks: int = 1, units: int = 25, channels: int = 128) -> None:
        super().__init__(scale=scale)
        require_counts({"blocks": blocks, "units": units, "channels": channels})
        self.num_blocks, self.units, self.channels = blocks, units, channels
        self.blocks = nn.ModuleList(
            RecursiveBlock(in_channels=channels if number else 1, channels=channels, units=units)
            for number in range(blocks)
        )
        self.last_norm = nn.BatchNorm2d(channels)
        self.last = nn.Conv2d(channels, 1, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(self.last.weight)
        zero_biases(self)

    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""
        lr_up = bicubic_upscale(lr, self.scale)
        features = lr_up
        for block in self.blocks:
            features = block(features)
        residual: Tensor = self.last(F.relu(self.last_norm(features), inplace=True))
        return lr_up + residual

    @property
    def receptive_radius(self) -> int:
        """The radius in `lr` pixels of (1 + 2U)B + 1 layers on the bicubic image, when batch norm is in eval mode."""
        return radius_before_bicubic((1 + 2 * self.units) * self.num_blocks + 1, self.scale)


class RecursiveBlock(nn.Module):
    """An entry convolution, then `units` times the same two convolutions, each unit adding the entry features (Fig. 3).

    Args:
        in_channels: Feature maps of the input.
        channels: Feature maps of every convolution.
        units: How often the two shared convolutions are applied.
    """

    def __init__(self, *, in_channels: int, channels: int, units: int) -> None:
        super().__init__()
        self.entry_norm = nn.BatchNorm2d(in_channels)
        self.entry = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(units))
        self.second_norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(units))

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(N, in_channels, H, W)` to `(N, channels, H, W)`."""
        entry: Tensor = self.entry(F.relu(self.entry_norm(features), inplace=True))
        features = entry
        for first_norm, second_norm in zip(self.first_norms, self.second_norms, strict=True):
            features = self.first(F.relu(first_norm(features), inplace=True))
            features = self.second(F.relu(second_norm(features), inplace=True)) + entry
        return features
