"""VDSR: Kim et al., "Accurate Image Super-Resolution Using Very Deep Convolutional Networks", CVPR 2016."""

from __future__ import annotations

from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks.compared.base import radius_before_bicubic, require_counts, zero_biases
from prosr_lightning.networks.contract import DirectNetwork


class VDSR(DirectNetwork):
    """Add a residual image, learned by a chain of 3x3 convolutions, to the bicubic image.

    664,704 weights at the defaults, and 1,217 biases.

    Args:
        scale: The one factor, a power of two from 2 up.
        depth: Number of convolutions, at least 2.
        channels: Feature maps between them.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        The authors train one network for 2x, 3x and 4x at once; here each instance learns one scale. He's start, but
        for the last convolution, which starts at zero and so from the bicubic image. The authors use SGD with clipped
        gradients; Adam learns at once at 1e-4, while at 1e-3 the network stayed bicubic for the 90 steps tried.
    """

    def __init__(self, *, scale: int, depth: int = 20, channels: int = 64) -> None:
        super().__init__(scale=scale)
        require_counts({"depth": depth, "channels": channels})
        if depth < 2:
            raise ConfigError(f"`depth` must be at least 2 for VDSR, got {depth}; the default is 20.")
        self.depth, self.channels = depth, channels
        layers: list[nn.Module] = []
        for number in range(depth):
            conv = nn.Conv2d(channels if number else 1, channels if number < depth - 1 else 1, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            layers += [conv, nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])
        nn.init.zeros_(conv.weight)
        zero_biases(self)

    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""
        lr_up = bicubic_upscale(lr, self.scale)
        residual: Tensor = self.layers(lr_up)
        return lr_up + residual

    @property
    def receptive_radius(self) -> int:
        """The radius in `lr` pixels: one pixel of the bicubic image per convolution (41x41), and the bicubic kernel."""
        return radius_before_bicubic(self.depth, self.scale)
