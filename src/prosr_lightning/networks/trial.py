"""A network of a user's own on a small image, before a training relies on what the base class asks of it."""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from prosr_lightning.errors import ConfigError, require_whole
from prosr_lightning.networks.complexity import multiply_adds_by_scale
from prosr_lightning.networks.contract import SRNetwork, require_image

log = logging.getLogger(__name__)

_SIDES = ((16, 16), (9, 14))  # of the images: one that windows divide, and one that they do not
_BEYOND = 8  # pixels beyond the halo that are changed
_MOST_WORK = 1e10  # multiply-adds of an image that is tried: a second of a processor
_TOLERANCE = 1e-5  # of the largest value; kernels for images of other contents may differ in the last digits


def try_out(network: SRNetwork, scale: int) -> None:
    """Refuse a network that cannot be trained or gives no image, and warn of one whose tiles would show.

    What its own code raises on an ordinary image is passed on, with its traceback.

    Args:
        network: It is copied, not changed.
        scale: What it will be trained for.

    Raises:
        ConfigError: If it cannot be copied, its radius is no whole number, its images have another size than they must
            or no gradient, it changes its input, or it fails where 4 does not divide the size.
    """
    title = type(network).__name__
    if any(map(is_lazy, network.parameters())):
        raise ConfigError(
            f"{title} must know the shape of its parameters, got lazy ones; write nn.Conv2d and its like."
        )
    try:
        ghost = copy.deepcopy(network)
    except RuntimeError as error:
        raise ConfigError(
            f"{title} must be a module that can be copied, but: {str(error).splitlines()[0]} Let `forward` compute "
            "what is made of parameters; torch.nn.utils.parametrizations has a weight_norm and a spectral_norm that do."
        ) from error
    require_whole(
        f"receptive_radius` of `{title}",
        getattr(network, "receptive_radius", None),
        least=0,
        remedy="see docs/extending.md",
    )
    for height, width in _SIDES:
        lr = torch.rand(1, 1, height, width)
        given = lr.clone()
        try:
            images = ghost.progressive(lr, scale)
        except RuntimeError as error:
            if (height, width) == _SIDES[0]:
                raise
            raise ConfigError(
                f"{title} must take images of any size, but of {width}x{height} it says: {error}; pad in `forward` and "
                "crop what comes out."
            ) from error
        _require_images(images, given, network, scale)
        if not torch.equal(lr, given):
            raise ConfigError(f"{title} must leave its input as it is, but changes it in place; copy it first.")
    if _looks_further(ghost, scale):
        log.warning(
            "`receptive_radius` of %s is %d, but what lies further away changes its images, which will show where "
            "tiles meet. One that looks at the whole image says a radius beyond any, such as 1_000_000.",
            *(title, network.receptive_radius),
        )


def _require_images(images: dict[int, Tensor], lr: Tensor, network: SRNetwork, scale: int) -> None:
    for factor in (*images, scale):
        require_image(images.get(factor), lr, factor, network)
    if not images[scale].requires_grad:
        raise ConfigError(
            f"{type(network).__name__} must have parameters that its image depends on, to learn them, got an image "
            "without a gradient; see that nothing detaches it."
        )


@torch.no_grad()
def _looks_further(ghost: SRNetwork, scale: int) -> bool:
    """Tell whether what lies beyond the halo of a pixel changes it; the parameters are shaken."""
    factor, halo = ghost.passes(scale)[0]
    side = 2 * (halo + _BEYOND) + 1
    if side**2 * max(1e4, factor**2 * multiply_adds_by_scale(ghost, [factor]).get(factor, 0)) > _MOST_WORK:
        return False
    for parameter in ghost.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))  # many begin with a last layer of zero
    lr = torch.rand(side, side)
    brighter = lr + 0.5
    brighter[_BEYOND:-_BEYOND, _BEYOND:-_BEYOND] = lr[_BEYOND:-_BEYOND, _BEYOND:-_BEYOND]
    sr, other = ghost.eval().enlarge(torch.stack([lr, brighter])[:, None], factor)
    middle = slice((halo + _BEYOND) * factor, (halo + _BEYOND + 1) * factor)
    return bool((sr - other)[0, middle, middle].abs().max() > _TOLERANCE * sr.abs().max())
