"""What the compared methods have in common: the contract, one-pass methods, bicubic input, and argument checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks.contract import levels_up_to


class ComparedNetwork(nn.Module, ABC):
    """A network of Table 1 under the contract of `SRNetwork`; `forward` and `progressive` are the same thing."""

    def forward(self, lr: Tensor, scale: int) -> list[Tensor]:
        """Return what `progressive` returns.

        Args:
            lr: Luminance `(N, 1, H, W)`, floating point, nominally in `[0, 1]`; any H and W from 1 up.
            scale: Total factor, one of `scales`.

        Returns:
            The image of every level, not clamped.
        """
        return self.progressive(lr, scale)

    @abstractmethod
    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> list[Tensor]:
        """Return the image of every level, smallest first; a direct method returns one.

        Args:
            lr: Luminance `(N, 1, H, W)`.
            scale: Total factor, one of `scales`.
            detach_between_levels: Stop the gradient between levels; without effect in a direct method.

        Raises:
            ConfigError: If `scale` is not one of `scales`.
        """

    def supervised(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> list[list[Tensor]]:
        """Return, for every level, all images that its ground truth supervises: the level's own image comes first.

        Only DRCN has further ones, the prediction of every recursion.
        """
        return [[image] for image in self.progressive(lr, scale, detach_between_levels=detach_between_levels)]

    @property
    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """The class name and constructor arguments, as plain values that rebuild this network."""

    @property
    @abstractmethod
    def scales(self) -> tuple[int, ...] | None:
        """The total factors that this instance can do; None means every power of two."""

    @property
    @abstractmethod
    def receptive_radius(self) -> int:
        """How many `lr` pixels away from its own position an input pixel can still change the output of one pass."""

    @abstractmethod
    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return the factors supervised when training for `scale`."""

    def require_scale(self, scale: int) -> None:
        """Raise ConfigError unless `scale` is one of `scales`."""
        levels_up_to(scale)
        if self.scales is not None and scale not in self.scales:
            name = type(self).__name__
            raise ConfigError(
                f"`scale` must be {' or '.join(map(str, self.scales))} for this {name}, which was built for it, "
                f"got {scale}; build and train a {name} with scale={scale}."
            )


class DirectNetwork(ComparedNetwork):
    """A method that enlarges by its one factor in one pass.

    Args:
        scale: The factor, a power of two from 2 up.

    Raises:
        ConfigError: If `scale` is anything else.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        levels_up_to(scale)
        self.scale = scale

    @abstractmethod
    def enlarge(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""

    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> list[Tensor]:
        """Return the one image, in a list; with no further level there is nothing to detach."""
        self.require_scale(scale)
        return [self.enlarge(lr)]

    @property
    def scales(self) -> tuple[int, ...]:
        """The one factor."""
        return (self.scale,)

    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return `(scale,)`: direct methods learn one scale."""
        self.require_scale(scale)
        return (scale,)


def radius_before_bicubic(radius: int, scale: int) -> int:
    """Return the radius in `lr` pixels of a network that reaches `radius` pixels of the bicubic enlargement.

    Output pixel `scale * q + j` reads enlarged pixels down to `scale * q + j - radius`; an enlarged pixel u reads the
    four `lr` pixels around `(u + 0.5) / scale - 0.5`, all with weights other than zero where `scale` is even. The worst
    case is j = 0.

    Example:
        >>> radius_before_bicubic(6, 2)  # SRCNN: 9-1-5
        5
    """
    return 1 - (scale + 2 * radius - 1) // (-2 * scale)  # 1 + the quotient rounded up


def require_counts(counts: Mapping[str, int]) -> None:
    """Raise ConfigError unless every value is a whole number from 1 up."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"`{name}` must be a whole number >= 1, got {value!r}; the default is the paper's.")


def zero_biases(module: nn.Module) -> None:
    """Start every bias of a convolution or transposed convolution at zero."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
