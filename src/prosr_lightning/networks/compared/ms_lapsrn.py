"""MS-LapSRN: Lai et al., "Fast and Accurate Image Super-Resolution with Deep Laplacian Pyramid Networks", 2019."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.imaging.factors import levels_up_to
from prosr_lightning.networks.blocks import ImageConvTranspose2d
from prosr_lightning.networks.compared.base import require_counts
from prosr_lightning.networks.compared.lapsrn import ENTRY_STD, NEGATIVE_SLOPE, FeatureUp, initialise_pyramid
from prosr_lightning.networks.contract import SRNetwork


class MSLapSRN(SRNetwork):
    """LapSRN with one set of weights for all levels and, within a level, for all recursions of its block.

    222,801 parameters at the defaults, for every scale and every number of recursions. D5R2, D5R5 and D5R8 are
    `depth=5` with `recursions` 2, 5 and 8.

    Args:
        depth: D, 3x3 convolutions of the recursive block.
        recursions: R, how often the block is applied at a level.
        channels: Feature maps of every convolution.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        The shared-source variant (SS): every recursion adds the features that entered the level. LeakyReLU precedes the
        convolutions of the block and the transposed convolution, and nothing else. Start as in LapSRN.
    """

    title = "MS-LapSRN"

    def __init__(self, *, depth: int = 5, recursions: int = 8, channels: int = 64) -> None:
        super().__init__()
        require_counts({"depth": depth, "recursions": recursions, "channels": channels})
        self.depth, self.recursions, self.channels = depth, recursions, channels
        self.entry = nn.Conv2d(1, channels, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))
        self.feature_up = FeatureUp(channels=channels)
        self.residual = nn.Conv2d(channels, 1, 3, padding=1)
        self.image_up = ImageConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
        initialise_pyramid(self)
        nn.init.normal_(self.entry.weight, std=ENTRY_STD)

    def forward(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, Tensor]:
        """Return the image of every level up to `scale` by its factor, smallest first.

        Args:
            lr: Luminance `(N, 1, H, W)`.
            scale: Total factor, a power of two from 2 up.
            detach_between_levels: Stop the gradient between levels, of features and of image.

        Returns:
            Images `(N, 1, 2H, 2W)` to `(N, 1, scale * H, scale * W)`, not clamped.

        Raises:
            ConfigError: If `scale` is not a power of two from 2 up.
        """
        features, image = self.entry(lr), lr
        images: dict[int, Tensor] = {}
        for factor in levels_up_to(scale):
            if images and detach_between_levels:
                features, image = features.detach(), image.detach()
            features = self.feature_up(self._activate(self._embed(features)))
            image = self.image_up(image) + self.residual(features)
            images[factor] = image
        return images

    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, Tensor]:
        """Return what `forward` does."""
        return self(lr, scale, detach_between_levels=detach_between_levels)  # type: ignore[no-any-return]  # nn.Module

    @property
    def scales(self) -> None:
        """None: every power of two."""
        return

    @property
    def receptive_radius(self) -> int:
        """The radius of one 2x level, in its own input pixels, as for ProSRN's generator."""
        return 1 + self.depth * self.recursions + 1  # the transposed and the residual convolution reach one pixel

    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return the factor of every level up to `scale`."""
        return levels_up_to(scale)

    def _embed(self, entry: Tensor) -> Tensor:
        """Apply the recursive block, each time adding the features that entered the level."""
        features = entry
        for _ in range(self.recursions):
            for conv in self.convs:
                features = conv(self._activate(features))
            features = features + entry
        return features

    @staticmethod
    def _activate(features: Tensor) -> Tensor:
        return F.leaky_relu(features, NEGATIVE_SLOPE)
