"""The level pyramid of a training batch (Sec. 2.2 and 2.4): LR and the ground truth of every level from HR patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.degradation import Bicubic, Degradation, Draw, patch_margin


def level_pyramid(
    patches: Tensor,
    *,
    scale: int,
    levels: Sequence[int],
    degradation: Degradation | None = None,
    draw: Draw = (),
    planes: Tensor | None = None,
) -> tuple[Tensor, dict[int, Tensor]]:
    """Make the network's input and the ground truth of its levels (docs/paper-notes.md, entry 8).

    Args:
        patches: HR luminance or YCbCr `(N, C, S + 2m, S + 2m)` with `m = degradation.margin(scale)` pixels of
            surroundings on every side; floating point, S a multiple of `scale`, cut at multiples of `scale`.
        scale: Total factor between LR and HR.
        levels: Factors of the supervised levels, each a divisor of `scale`.
        degradation: Makes LR; None for bicubic. The levels are clean whatever it is.
        draw: See `Degradation`.
        planes: `(N,)`, which plane of each patch to return, once all of them are degraded; None for the first.

    Returns:
        LR `(N, 1, S / scale, S / scale)` and for each level f the bicubic downscale of HR to `(N, 1, S f / scale, ..)`,
        all equal to the same cut of the whole image's LR and bicubic downscale.

    Raises:
        ConfigError: If the patch, a level or the margin does not fit `scale`, or LR comes out in another size.
    """
    degradation = degradation or Bicubic()
    margin = degradation.margin(scale)
    if margin < patch_margin(scale) or margin % scale:
        raise ConfigError(
            f"`margin` of the degradation {degradation.name} must be a multiple of scale={scale} from "
            f"{patch_margin(scale)} up, got {margin}; round it up."
        )
    side = patches.shape[-1] - 2 * margin
    if side < scale or side % scale:
        raise ConfigError(f"The patch side must be a multiple of scale={scale} inside its margin, got {side}.")
    wrong = [level for level in levels if level < 1 or scale % level]
    if wrong:
        raise ConfigError(f"`levels` must divide scale={scale}, got {wrong}; choose powers of two up to it.")
    kept = take_planes(patches, planes)
    targets = {level: _shrink(kept, scale // level, margin) for level in levels}
    if type(degradation) is Bicubic:  # the margin takes the place of the mirrored edges of a whole image
        return _shrink(kept, scale, margin), targets
    lr = degradation.applied(patches, scale, draw=draw, patches=True)
    return _inner(take_planes(lr, planes), margin // scale), targets


def take_planes(images: Tensor, planes: Tensor | None) -> Tensor:
    """Return one plane of each image, `(N, 1, H, W)`: that of `planes`, `(N,)`, or the first."""
    if planes is None:
        return images[:, :1]
    return images[torch.arange(len(images), device=images.device), planes.to(images.device)][:, None]


def _shrink(patches: Tensor, factor: int, margin: int) -> Tensor:
    """Shrink by `factor` and cut the margin off; what the image border does to the margin never reaches the patch."""
    if factor > 1:
        size = patches.shape[-1] // factor
        patches = F.interpolate(patches, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    return _inner(patches, margin // factor)


def _inner(image: Tensor, edge: int) -> Tensor:
    return image[..., edge:-edge, edge:-edge].contiguous()
