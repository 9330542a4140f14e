"""The settings of random degradations, ranges and shares: read, and drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError


def random_of(draw: Sequence[int]) -> np.random.Generator:
    """Return the generator of a degradation's random values, which is not the one that draws the patches."""
    return np.random.default_rng((*draw, 2))


def draw_qualities(ends: tuple[int, int], random: np.random.Generator, count: int) -> Tensor:
    """Return JPEG qualities `(count,)`, each as likely."""
    return torch.from_numpy(random.integers(*ends, size=count, endpoint=True))


def draw_mask(share: float, random: np.random.Generator, images: Tensor) -> Tensor:
    """Return `(N, 1, 1, 1)` booleans on the device of `(N, C, H, W)`, true for about the share of the images."""
    return torch.from_numpy(random.random(len(images)) < share).to(images.device)[:, None, None, None]


def read_qualities(quality: int | Sequence[int]) -> tuple[int, int]:
    """Return the lowest and the highest JPEG quality of a setting, or raise ConfigError."""
    ends = [quality] if isinstance(quality, int | float) else list(quality)
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
    if len(ends) not in (1, 2) or not whole or not 1 <= ends[0] <= ends[-1] <= 100:
        raise ConfigError(
            "`quality` must be a whole number from 1 to 100, or two of them with the lower first, got "
            f"{quality!r}; choose for instance 40 or [30,95]."
        )
    return ends[0], ends[-1]


def read_range(name: str, value: float | Sequence[float], least: float, most: float) -> tuple[float, float]:
    """Return the ends of a setting that is a number or two of them, or raise ConfigError."""
    ends = [value] if isinstance(value, int | float) else list(value)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    if len(ends) not in (1, 2) or not numbers or not least <= ends[0] <= ends[-1] <= most:
        raise ConfigError(
            f"`{name}` must be a number from {least} to {most}, or two of them with the lower first, got {value!r}; "
            "choose for instance the default."
        )
    return ends[0], ends[-1]


def read_share(name: str, value: float) -> float:
    """Return a setting that is a share, or raise ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"`{name}` must be a share from 0 to 1, got {value!r}; 0 is for none and 1 for all.")
    return value


def settings_name(name: str, degradation: Any) -> str:  # noqa: ANN401  # any dataclass
    """Return a name with the settings that are not the defaults, but for `clean`, which whole images do not know."""
    changed = [
        f"{field.name}={_plain(getattr(degradation, field.name))}".replace(" ", "")
        for field in fields(degradation)
        if field.name != "clean" and _plain(getattr(degradation, field.name)) != _plain(field.default)
    ]
    return " ".join([name, *changed])


def _plain(value: Any) -> Any:  # noqa: ANN401  # of YAML
    return list(value) if isinstance(value, tuple) else value
