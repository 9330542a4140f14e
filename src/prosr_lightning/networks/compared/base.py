"""What the compared methods have in common: bicubic input, argument checks, and a start."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from prosr_lightning.errors import require_whole


def radius_before_bicubic(radius: int, scale: int) -> int:
    """Return the radius in `lr` pixels of a network that reaches `radius` pixels of the bicubic enlargement.

    Output pixel `scale * q + j` reads enlarged pixels down to `scale * q + j - radius`; an enlarged pixel u reads the
    four `lr` pixels around `(u + 0.5) / scale - 0.5`, all with weights other than zero where `scale` is even. The worst
    case is j = 0.

    Examples:
        >>> radius_before_bicubic(6, 2)  # SRCNN: 9-1-5
        5
    """
    return 1 - (scale + 2 * radius - 1) // (-2 * scale)  # 1 + the quotient rounded up


def require_counts(counts: Mapping[str, int]) -> None:
    """Raise ConfigError unless every value is a whole number from 1 up."""
    for name, value in counts.items():
        require_whole(name, value, remedy="the default is the paper's")


def zero_biases(module: nn.Module) -> None:
    """Start every bias of a convolution or transposed convolution at zero."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
