"""SRResNet: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative ...", CVPR 2017 (SRGAN)."""

from __future__ import annotations

from torch import Tensor, nn

from prosr_lightning.imaging.factors import levels_up_to
from prosr_lightning.networks.blocks import ImageConv2d
from prosr_lightning.networks.compared.base import require_counts
from prosr_lightning.networks.contract import DirectNetwork


class SRResNet(DirectNetwork):
    """Extract features by residual blocks with batch norm and enlarge them by pixel shuffles, 2x each (Fig. 4).

    Args:
        scale: The one factor, a power of two from 2 up; 4 in the paper.
        blocks: Residual blocks.
        channels: Feature maps of every block.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        Convolutions before batch norm have no bias, which it would cancel. The paper names no start; ours is PyTorch's.
        Nothing but features leads from the input to the image, so that in bfloat16 it is less exact than a network that
        adds a residual: 0.17 gray levels on average, after a short training at 2x.
    """

    def __init__(self, *, scale: int, blocks: int = 16, channels: int = 64) -> None:
        super().__init__(scale=scale)
        require_counts({"blocks": blocks, "channels": channels})
        self.num_blocks, self.channels = blocks, channels
        self.entry = nn.Sequential(ImageConv2d(1, channels, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(channels=channels) for _ in range(blocks)))
        self.after_blocks = _normalised_conv(channels)
        self.up = nn.Sequential(*(_double(channels) for _ in levels_up_to(scale)))
        self.last = ImageConv2d(channels, 1, 9, padding=4)

    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""
        entry = self.entry(lr)
        sr: Tensor = self.last(self.up(entry + self.after_blocks(self.blocks(entry))))
        return sr

    @property
    def receptive_radius(self) -> int:
        """The radius in `lr` pixels, when batch norm is in eval mode: followed from the output back to the input."""
        first, last = -4, self.scale - 1 + 4  # what the last 9x9 reads for the `scale` pixels over one `lr` pixel
        for _ in levels_up_to(self.scale):
            first, last = first // 2 - 1, last // 2 + 1  # a pixel shuffle, and the 3x3 convolution before it
        return max(-first, last) + 1 + 2 * self.num_blocks + 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, PReLU between them, and an identity skip.

    Args:
        channels: Feature maps in and out.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_normalised_conv(channels), nn.PReLU(), _normalised_conv(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(N, C, H, W)` to features of the same shape."""
        residual: Tensor = self.layers(features)
        return features + residual


def _normalised_conv(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


def _double(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())
