"""What training, evaluation, upscaling and export need to know of a network, and nothing more."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from prosr_lightning.errors import ConfigError


@runtime_checkable
class SRNetwork(Protocol):
    """The contract of every super-resolution network here, ProSRN's generator and the compared methods alike."""

    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> list[Tensor]:
        """Return the image of every level, smallest first; a direct method returns one."""
        ...

    def supervised(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> list[list[Tensor]]:
        """Return, for every level, all images that its ground truth supervises: the level's own image comes first."""
        ...

    @property
    def architecture(self) -> dict[str, Any]:
        """The class name under "name" and the constructor arguments, as plain values."""
        ...

    @property
    def scales(self) -> tuple[int, ...] | None:
        """The total factors that this instance can do; None means every power of two."""
        ...

    @property
    def receptive_radius(self) -> int:
        """The radius, in `lr` pixels, of one pass of the network."""
        ...

    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return the factors supervised when training for `scale`."""
        ...


def levels_up_to(scale: int) -> tuple[int, ...]:
    """Return the factor of every level on the way to `scale`: N = log2(scale) powers of two (Sec. 2.4).

    Args:
        scale: Total factor, a power of two from 2 up.

    Returns:
        `(2, 4, ..., scale)`.

    Raises:
        ConfigError: If `scale` is anything else.

    Example:
        >>> levels_up_to(8)
        (2, 4, 8)
    """
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 2 or scale & (scale - 1):
        raise ConfigError(f"`scale` must be a power of two >= 2, got {scale!r}; choose 2, 4, 8 or 16.")
    return tuple(2**level for level in range(1, scale.bit_length()))


def count_parameters(network: nn.Module) -> int:
    """Return the number of learned values (Fig. 8 and 9)."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_layers(network: nn.Module) -> int:
    """Return the number of convolutions and transposed convolutions, the count of Table 1."""
    return sum(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in network.modules())
