"""SRCNN: Dong et al., "Image Super-Resolution Using Deep Convolutional Networks", TPAMI 2016 (9-1-5: ECCV 2014)."""

from __future__ import annotations

from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks.blocks import full_precision
from prosr_lightning.networks.compared.base import radius_before_bicubic, require_counts, zero_biases
from prosr_lightning.networks.contract import DirectNetwork


class SRCNN(DirectNetwork):
    """Sharpen the bicubic image by three convolutions: patches, non-linear mapping, reconstruction.

    8,032 weights at the defaults, and 97 biases.

    Args:
        scale: The one factor, a power of two from 2 up.
        kernels: Sides of the three kernels, odd numbers.
        channels: Feature maps after the first and the second convolution.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        Borders repeat the edge pixel, as in the authors' test code; their training left the borders out. The start is
        He's with biases at zero: from the authors' N(0, 0.001^2) Adam lags far behind (1.58 against 1.10 of bicubic's
        Charbonnier loss after 480 steps at 1e-3).
    """

    def __init__(
        self, *, scale: int, kernels: tuple[int, int, int] = (9, 1, 5), channels: tuple[int, int] = (64, 32)
    ) -> None:
        super().__init__(scale=scale)
        if len(kernels) != 3 or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise ConfigError(f"`kernels` must be three odd numbers, got {list(kernels)}; the default is 9, 1, 5.")
        require_counts({"channels": min(channels)})
        self.kernels, self.channels = tuple(kernels), tuple(channels)
        widths = (1, *self.channels, 1)
        layers: list[nn.Module] = []
        for number, kernel in enumerate(self.kernels):
            conv = nn.Conv2d(widths[number], widths[number + 1], kernel, padding=kernel // 2, padding_mode="replicate")
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            layers += [conv, nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])
        zero_biases(self)

    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""
        with full_precision(lr):  # without a residual, the features are the image
            sr: Tensor = self.layers(bicubic_upscale(lr, self.scale))
        return sr

    @property
    def receptive_radius(self) -> int:
        """The radius in `lr` pixels: 6 pixels of the bicubic image at 9-1-5, and the bicubic kernel."""
        return radius_before_bicubic(sum(kernel // 2 for kernel in self.kernels), self.scale)
