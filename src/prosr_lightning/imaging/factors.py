"""The factors that a network enlarges by: powers of two."""

from __future__ import annotations

import math

from prosr_lightning.errors import ConfigError


def levels_up_to(scale: int) -> tuple[int, ...]:
    """Return the factor of every level on the way to `scale`: N = log2(scale) powers of two (Sec. 2.4).

    Args:
        scale: Total factor, a power of two from 2 up.

    Returns:
        `(2, 4, ..., scale)`.

    Raises:
        ConfigError: If `scale` is anything else.

    Examples:
        >>> levels_up_to(8)
        (2, 4, 8)
    """
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 2 or scale & (scale - 1):
        raise ConfigError(f"`scale` must be a power of two >= 2, got {scale!r}; choose 2, 4, 8 or 16.")
    return tuple(2**level for level in range(1, scale.bit_length()))


def power_of_two(factor: float) -> int:
    """Return what a network has to enlarge by so that a factor above 1 can be had by shrinking: 2, 4, 8, ...

    Examples:
        >>> [power_of_two(factor) for factor in (1.5, 2, 3, 4.1)]
        [2, 2, 4, 8]
    """
    return int(2 ** max(math.ceil(math.log2(factor)), 1))
