"""ESPCN: Shi et al., "Real-Time Single Image and Video Super-Resolution Using ... Sub-Pixel ...", CVPR 2016."""

from __future__ import annotations

from torch import Tensor, nn

from prosr_lightning.networks.blocks import full_precision
from prosr_lightning.networks.compared.base import require_counts, zero_biases
from prosr_lightning.networks.contract import DirectNetwork


class ESPCN(DirectNetwork):
    """Compute scale^2 maps of the LR image by three convolutions and interleave them: the sub-pixel convolution.

    21,284 parameters at 2x and 24,752 at 4x, with 5-3-3 kernels and tanh (Sec. 3.1).

    Args:
        scale: The one factor, a power of two from 2 up.
        channels: Feature maps after the first and the second convolution.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        The paper names no start; ours is Xavier's, made for tanh, with biases at zero.
    """

    def __init__(self, *, scale: int, channels: tuple[int, int] = (64, 32)) -> None:
        super().__init__(scale=scale)
        require_counts({"channels": min(channels)})
        self.channels = tuple(channels)
        first, second = self.channels
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, 5, padding=2),
            nn.Tanh(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(second, scale * scale, 3, padding=1),
            nn.PixelShuffle(scale),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
        zero_biases(self)

    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""
        with full_precision(lr):  # without a residual, the features are the image
            sr: Tensor = self.layers(lr)
        return sr

    @property
    def receptive_radius(self) -> int:
        """The radius in `lr` pixels of 5x5, 3x3 and 3x3 convolutions."""
        return 2 + 1 + 1
