"""The 2x network of ProSRN and ProSRGAN (Fig. 3), applied again and again in progressive mode (Fig. 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError, require_choice, require_whole
from prosr_lightning.networks.blocks import (
    ConvFusion,
    InceptionFusion,
    MemoryStructure,
    PlainStructure,
    ResidualStructure,
    bilinear_kernel,
)
from prosr_lightning.networks.progressive import Layer, ProgressiveNetwork, bilinear_enlargement

_STRUCTURES = ("plain", "residual", "memory")
_FUSIONS = ("conv", "inception")


class Generator(ProgressiveNetwork):
    """Enlarge a luminance image by 2: learned bilinear branch plus residual image (Sec. 2.2.2, Fig. 3).

    `sr = image_up(lr) + fusion(feature_up(features(entry(lr))))`. The defaults give the 14 layers of Table 1 and
    436,113 parameters. An untrained network returns exactly the bilinear 2x of its input.

    Args:
        structure: Wiring of the feature extraction (Fig. 6): "plain", "residual" or "memory".
        depth: Convolutions in the feature extraction (10 in Sec. 4.2).
        channels: Feature maps of every layer (docs/paper-notes.md, entry 1).
        skip_every: Memory structure only: add the entry features after every n-th convolution (entry 2).
        negative_slope: Slope of every LeakyReLU (entry 4).
        fusion: "conv", one 3x3 convolution, or "inception", the block that the paper tried first (entry 6).

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        The image branch repeats the edge pixel outward where LapSRN pads with zeros: zeros would darken the borders,
        and progressive mode would carry that inward level by level.

    Examples:
        >>> generator = Generator(depth=2, channels=8)
        >>> {factor: tuple(sr.shape) for factor, sr in generator.progressive(torch.zeros(1, 1, 5, 7), 4).items()}
        {2: (1, 1, 10, 14), 4: (1, 1, 20, 28)}
    """

    title = "ProSRN"

    def __init__(
        self,
        *,
        structure: str = "memory",
        depth: int = 10,
        channels: int = 64,
        skip_every: int = 1,
        negative_slope: float = 0.2,
        fusion: str = "conv",
    ) -> None:
        super().__init__()
        _check(structure, depth, channels, skip_every, negative_slope, fusion)
        self.structure, self.depth, self.channels = structure, depth, channels
        self.skip_every, self.negative_slope = skip_every, negative_slope

        self.entry = nn.Conv2d(1, channels, 3, padding=1)
        self.features = self._feature_extraction()
        self.feature_up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        self.fusion: ConvFusion | InceptionFusion = (
            ConvFusion(channels=channels)
            if fusion == "conv"
            else InceptionFusion(channels=channels, negative_slope=negative_slope)
        )
        self.image_up = bilinear_enlargement()
        self._initialise()

    def residual(self, lr: Tensor) -> Tensor:
        """Return the residual image `(N, 1, 2H, 2W)` of luminance `(N, 1, H, W)`."""
        features = self.features(self.activate(self.entry(lr)))
        return self.fusion(self.activate(self.feature_up(features)))  # type: ignore[no-any-return]  # nn.Module is untyped

    def layers(self) -> tuple[Layer, ...] | None:
        """Return the layers in order; None with the inception block, which is no chain."""
        if not isinstance(self.fusion, ConvFusion):
            return None
        activation, shortcuts = self.activate, self.features.shortcuts
        return (
            Layer(convolution=self.entry, activation=activation),
            *(
                # the feature extraction counts its own layers from 0, and the entry comes before them
                Layer(
                    convolution=convolution,
                    shortcut=shortcuts[number] + 1 if number in shortcuts else None,
                    activation=activation,
                )
                for number, convolution in enumerate(self.features.convolutions)
            ),
            Layer(convolution=self.feature_up, activation=activation),
            Layer(convolution=self.fusion),
        )

    @property
    def receptive_radius(self) -> int:
        """How many `lr` pixels away from its own position an input pixel can still change one 2x output."""
        up_and_fusion = (self.fusion.radius + 2) // 2  # 4x4 stride-2 kernel, then fusion at the high resolution
        return 1 + self.depth + up_and_fusion

    @property
    def short_name(self) -> str:
        """Structure and depth, by which runs of this network are told apart; a subclass has its title before them."""
        ours = f"{self.structure}-d{self.depth}"
        return ours if self.title == Generator.title else f"{super().short_name}-{ours}"

    def activate(self, features: Tensor) -> Tensor:
        """Apply the LeakyReLU of every layer, in place."""
        return F.leaky_relu(features, self.negative_slope, inplace=True)

    def _feature_extraction(self) -> PlainStructure | ResidualStructure | MemoryStructure:
        if self.structure == "plain":
            return PlainStructure(depth=self.depth, channels=self.channels, negative_slope=self.negative_slope)
        if self.structure == "residual":
            return ResidualStructure(depth=self.depth, channels=self.channels, negative_slope=self.negative_slope)
        return MemoryStructure(
            depth=self.depth,
            channels=self.channels,
            negative_slope=self.negative_slope,
            skip_every=self.skip_every,
        )

    @torch.no_grad()
    def _initialise(self) -> None:
        """Start from the bilinear image: bilinear transposed convolutions and a fusion whose last layer is zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=self.negative_slope)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # every convolution here has a bias
        self.feature_up.weight.zero_()
        self.feature_up.weight[range(self.channels), range(self.channels)] = bilinear_kernel()
        nn.init.zeros_(self.feature_up.bias)  # type: ignore[arg-type]  # it has a bias
        last = self.fusion.merge if isinstance(self.fusion, InceptionFusion) else self.fusion
        nn.init.zeros_(last.weight)


def _check(structure: str, depth: int, channels: int, skip_every: int, negative_slope: float, fusion: str) -> None:
    require_choice("structure", structure, _STRUCTURES)
    require_choice("fusion", fusion, _FUSIONS)
    for name, value in (("depth", depth), ("channels", channels), ("skip_every", skip_every)):
        require_whole(name, value)
    if not 0 <= negative_slope < 1:
        raise ConfigError(f"`negative_slope` must be in [0, 1), got {negative_slope}; the default is 0.2.")
