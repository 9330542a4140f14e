"""FSRCNN: Dong et al., "Accelerating the Super-Resolution Convolutional Neural Network", ECCV 2016."""

from __future__ import annotations

from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks.blocks import full_precision
from prosr_lightning.networks.compared.base import require_counts, zero_biases
from prosr_lightning.networks.contract import DirectNetwork

_KERNEL = 9  # of the transposed convolution (Sec. 3.2)


class FSRCNN(DirectNetwork):
    """Extract, shrink, map and expand features of the LR image, then enlarge by one 9x9 transposed convolution.

    FSRCNN(56, 12, 4) has 12,464 weights, 173 biases and 172 PReLU slopes, at every scale.

    Args:
        scale: The one factor: 2, 4 or 8.
        channels: d, the features extracted and expanded to.
        shrunk: s, the features mapped.
        mappings: m, the number of 3x3 convolutions between shrinking and expanding.

    Raises:
        ConfigError: If an argument is outside its range; beyond 8x a 9x9 kernel leaves pixels that no input reaches.

    Note:
        He's start over the output maps and N(0, 0.001^2) in the transposed convolution, as the authors' files have it.
    """

    def __init__(self, *, scale: int, channels: int = 56, shrunk: int = 12, mappings: int = 4) -> None:
        super().__init__(scale=scale)
        if scale > _KERNEL:
            raise ConfigError(
                f"`scale` must be at most 8 for FSRCNN, whose {_KERNEL}x{_KERNEL} transposed convolution would leave "
                f"gaps, got {scale}; choose 2, 4 or 8."
            )
        require_counts({"channels": channels, "shrunk": shrunk, "mappings": mappings})
        self.channels, self.shrunk, self.mappings = channels, shrunk, mappings
        self.layers = nn.Sequential(
            *_conv(1, channels, 5),
            *_conv(channels, shrunk, 1),
            *(layer for _ in range(mappings) for layer in _conv(shrunk, shrunk, 3)),
            *_conv(shrunk, channels, 1),
        )
        surplus = _KERNEL - scale  # of the output's size over scale * H, before cropping
        self.padding = (surplus + 1) // 2
        self.up = nn.ConvTranspose2d(
            channels, 1, _KERNEL, stride=scale, padding=self.padding, output_padding=2 * self.padding - surplus
        )
        nn.init.normal_(self.up.weight, std=0.001)
        zero_biases(self)

    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""
        with full_precision(lr):  # without a residual, the features are the image
            sr: Tensor = self.up(self.layers(lr))
        return sr

    @property
    def receptive_radius(self) -> int:
        """The radius in `lr` pixels: 5x5, the mappings, and the reach of the transposed convolution."""
        to_the_left = (_KERNEL - 1 - self.padding) // self.scale  # inputs whose kernel ends at an output pixel or after
        to_the_right = (self.scale - 1 + self.padding) // self.scale
        return 2 + self.mappings + max(to_the_left, to_the_right)


def _conv(in_channels: int, out_channels: int, kernel: int) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv, nn.PReLU(out_channels)  # a slope per map, 0.25 at the start
