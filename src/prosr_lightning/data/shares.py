"""Which level a batch trains and which plane a patch is of, drawn by shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.data.patches import BatchKey
from prosr_lightning.errors import ConfigError

PLANES = ("y", "cb", "cr")
Choice = TypeVar("Choice", int, str)


def read_shares(name: str, value: Any, choices: Sequence[Choice], *, example: str) -> dict[Choice, float]:  # noqa: ANN401  # YAML
    """Return the share of each choice, up to a common factor.

    Args:
        name: The setting, for the message.
        value: A mapping of some of the choices to positive numbers, or "equal".
        choices: What there is.
        example: A value that would do.

    Raises:
        ConfigError: If the value is anything else.
    """
    if value == "equal":
        return dict.fromkeys(choices, 1.0)
    shares = dict(value) if isinstance(value, Mapping) else {}
    if not shares or not set(shares) <= set(choices) or not all(map(_is_positive, shares.values())):
        raise ConfigError(
            f"`{name}` must be equal, or have positive shares of some of {list(choices)}, got {value!r}; choose "
            f"for instance {example}."
        )
    return shares


def draw_level(shares: Mapping[int, float], seed: int, key: BatchKey) -> int:
    """Return the level that a batch trains, drawn by shares: a function of `(seed, epoch, step)`, alike on all devices.

    Args:
        shares: See `read_shares`.
        seed: Seed of the run.
        key: The batch.
    """
    random = np.random.default_rng((seed, key.epoch, key.step, 1))  # 1: not the stream that draws the patches
    return int(random.choice(list(shares), p=_probabilities(shares)))


def draw_planes(shares: Mapping[str, float], draw: Sequence[int], count: int) -> Tensor:
    """Return the plane of each patch of a batch, `(count,)`: 0 for y, 1 for cb, 2 for cr.

    Args:
        shares: See `read_shares`.
        draw: As of a degradation.
        count: Patches of the batch.
    """
    random = np.random.default_rng((*draw, 3))  # 3: nor that of the degradation, 2
    numbers = [PLANES.index(plane) for plane in shares]
    return torch.from_numpy(random.choice(numbers, size=count, p=_probabilities(shares)))


def _probabilities(shares: Mapping[Any, float]) -> list[float]:
    return [share / sum(shares.values()) for share in shares.values()]


def _is_positive(share: object) -> bool:
    return isinstance(share, int | float) and share > 0
