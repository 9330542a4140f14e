"""The level pyramid of a training batch (Sec. 2.2 and 2.4): LR and the ground truth of every level from HR patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError


def patch_margin(scale: int) -> int:
    """Return the HR pixels to cut around a patch so that its LR equals that patch of the whole image's LR.

    The antialiased bicubic kernel reaches 2 LR pixels = 2 * scale HR pixels from the centre of an LR pixel, which lies
    scale / 2 inside the patch; the margin is a multiple of the scale so that the grids stay aligned.
    """
    return 2 * scale


def level_pyramid(patches: Tensor, *, scale: int, levels: Sequence[int]) -> tuple[Tensor, dict[int, Tensor]]:
    """Make the network's input and the ground truth of its levels (docs/paper-notes.md, entry 8).

    Args:
        patches: HR luminance `(N, 1, S + 2m, S + 2m)` with `m = patch_margin(scale)` pixels of surroundings on every
            side; floating point, S a multiple of `scale`, cut at positions that are multiples of `scale`.
        scale: Total factor between LR and HR.
        levels: Factors of the supervised levels, each a divisor of `scale`.

    Returns:
        LR `(N, 1, S / scale, S / scale)` and for each level f the bicubic downscale of HR to `(N, 1, S f / scale, ..)`,
        all equal to the same cut of the whole image's bicubic downscale.

    Raises:
        ConfigError: If the patch or a level does not fit `scale`.
    """
    margin = patch_margin(scale)
    side = patches.shape[-1] - 2 * margin
    if side < scale or side % scale:
        raise ConfigError(f"The patch side must be a multiple of scale={scale} inside its margin, got {side}.")
    wrong = [level for level in levels if level < 1 or scale % level]
    if wrong:
        raise ConfigError(f"`levels` must divide scale={scale}, got {wrong}; choose powers of two up to it.")
    lr = _shrink(patches, scale, margin)
    return lr, {level: _shrink(patches, scale // level, margin) for level in levels}


def _shrink(patches: Tensor, factor: int, margin: int) -> Tensor:
    """Shrink by `factor` and cut the margin off; what the image border does to the margin never reaches the patch."""
    if factor > 1:
        size = patches.shape[-1] // factor
        patches = F.interpolate(patches, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    edge = margin // factor
    return patches[..., edge:-edge, edge:-edge].contiguous()
