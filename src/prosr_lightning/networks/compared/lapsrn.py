"""LapSRN: Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution", CVPR 2017."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.imaging.factors import levels_up_to
from prosr_lightning.networks.blocks import ImageConvTranspose2d, bilinear_kernel
from prosr_lightning.networks.compared.base import require_counts, zero_biases
from prosr_lightning.networks.contract import SRNetwork

NEGATIVE_SLOPE = 0.2  # of every LeakyReLU (Sec. 3.3)
ENTRY_STD = 0.001  # of the entry convolution's start (the authors' files)


class LapSRN(SRNetwork):
    """Enlarge features and image by 2 at every level, each level having weights of its own (Fig. 1).

    407,441 parameters for 2x and 814,242 for 4x, as in the authors' weights; their 8x network has five convolutions a
    level (`depth=5`): 667,123.

    Args:
        scale: The largest factor, a power of two from 2 up; the smaller ones are its levels.
        depth: 3x3 convolutions of a level.
        channels: Feature maps of every convolution.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        The paper says 4x4 for all transposed convolutions; the authors' files, and the counts above, have 3x3 on the
        features. The start is theirs: N(0, 0.001^2) in the entry, He's elsewhere, the bilinear kernel on the image,
        whose borders see zeros.
    """

    def __init__(self, *, scale: int, depth: int = 10, channels: int = 64) -> None:
        super().__init__()
        levels = levels_up_to(scale)
        require_counts({"depth": depth, "channels": channels})
        self.scale, self.depth, self.channels = scale, depth, channels
        self.entry = nn.Conv2d(1, channels, 3, padding=1)
        self.levels = nn.ModuleList(PyramidLevel(depth=depth, channels=channels) for _ in levels)
        initialise_pyramid(self)
        nn.init.normal_(self.entry.weight, std=ENTRY_STD)

    def forward(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, Tensor]:
        """Return the image of every level up to `scale` by its factor, smallest first.

        Args:
            lr: Luminance `(N, 1, H, W)`.
            scale: Total factor, one of `scales`.
            detach_between_levels: Stop the gradient between levels, of features and of image.

        Returns:
            Images `(N, 1, 2H, 2W)` to `(N, 1, scale * H, scale * W)`, not clamped.

        Raises:
            ConfigError: If `scale` is not one of `scales`.
        """
        self.require_scale(scale)
        features, image = F.leaky_relu(self.entry(lr), NEGATIVE_SLOPE, inplace=True), lr
        images: dict[int, Tensor] = {}
        for factor, level in zip(levels_up_to(scale), self.levels, strict=False):  # as many levels as `scale` needs
            if images and detach_between_levels:
                features, image = features.detach(), image.detach()
            features, image = level(features, image)
            images[factor] = image
        return images

    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, Tensor]:
        """Return what `forward` does."""
        return self(lr, scale, detach_between_levels=detach_between_levels)  # type: ignore[no-any-return]  # nn.Module

    @property
    def scales(self) -> tuple[int, ...]:
        """The factor of every level."""
        return levels_up_to(self.scale)

    @property
    def receptive_radius(self) -> int:
        """The radius of one 2x level, in its own input pixels, as for ProSRN's generator."""
        return 1 + self.depth + 1  # the transposed and the residual convolution together reach one pixel

    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return the factor of every level up to `scale`."""
        self.require_scale(scale)
        return levels_up_to(scale)


class PyramidLevel(nn.Module):
    """One level: convolutions, then both branches enlarged by 2 and joined.

    Args:
        depth: 3x3 convolutions.
        channels: Feature maps of every convolution.
    """

    def __init__(self, *, depth: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))
        self.feature_up = FeatureUp(channels=channels)
        self.residual = nn.Conv2d(channels, 1, 3, padding=1)
        self.image_up = ImageConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)

    def forward(self, features: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map features `(N, C, H, W)` and image `(N, 1, H, W)` to the same of twice the size."""
        for conv in self.convs:
            features = F.leaky_relu(conv(features), NEGATIVE_SLOPE, inplace=True)
        features = F.leaky_relu(self.feature_up(features), NEGATIVE_SLOPE)
        return features, self.image_up(image) + self.residual(features)


class FeatureUp(nn.ConvTranspose2d):
    """The 3x3 transposed convolution that doubles features; the surplus row and column are cut at the end.

    Args:
        channels: Feature maps in and out.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2)

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]  # no output_size: it is always double
        """Map features `(N, C, H, W)` to `(N, C, 2H, 2W)`."""
        return super().forward(features)[..., :-1, :-1]


def initialise_pyramid(network: nn.Module) -> None:
    """Start as the authors' files do: He's (sqrt(2 / (9 C))) everywhere but in the image branch, which is bilinear."""
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d) and layer.in_channels == 1 and layer.kernel_size == (4, 4):
            layer.weight.data.copy_(bilinear_kernel())
        elif isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    zero_biases(network)
