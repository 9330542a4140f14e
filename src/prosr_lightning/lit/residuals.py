"""The residual images of the levels, which is all that the discriminator ever sees (Sec. 2.3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from prosr_lightning.errors import ConfigError, require_choice
from prosr_lightning.imaging.resize import bicubic_upscale

BASES = ("level_input", "lr")


class Level(NamedTuple):
    """What is compared at one level, all `(N, 1, H, W)`: G(x), x' without a gradient, and r = y - x'."""

    sr: Tensor
    lr_up: Tensor
    residual: Tensor

    @property
    def generated(self) -> Tensor:
        """The generated residual image G(x) - x'."""
        return self.sr - self.lr_up


def residual_levels(
    lr: Tensor, images: Mapping[int, Tensor], hr: Mapping[int, Tensor], *, base: str = "level_input"
) -> dict[int, Level]:
    """Pair the image of each level with its ground truth and with one x' for both (docs/paper-notes.md, entry 9).

    Args:
        lr: The LR image, `(N, 1, H, W)`.
        images: The generator's image of every level by factor, smallest first.
        hr: The ground truth of the supervised levels, by factor.
        base: What is enlarged bicubically to x': the "level_input", so that residuals hold one octave at each level, or
            always the original "lr".

    Returns:
        The supervised levels by factor, in float32 or wider.

    Raises:
        ConfigError: If `base` is unknown or a level has no image.
    """
    require_choice("residual_base", base, BASES)
    levels = {}
    before = 1
    for factor, sr in images.items():
        if factor in hr:
            start = 1 if base == "lr" else before
            level_input = lr if start == 1 else images[start].detach()
            lr_up = bicubic_upscale(level_input.float(), factor // start)
            levels[factor] = Level(sr=sr.float(), lr_up=lr_up, residual=hr[factor] - lr_up)
        before = factor
    if levels.keys() != hr.keys():
        raise ConfigError(f"`levels` must be those of the network, {list(levels)}, got {list(hr)}; choose among them.")
    return levels
