"""Networks in between: restoring less than a released network does."""

from __future__ import annotations

import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import SRNetwork, build_network
from prosr_lightning.networks.weights import load_network
from prosr_lightning.released import RESTORING, released_names


def blended(model: str, share: float) -> SRNetwork:
    """Return a restoring network whose weights are mixed with those of the clean one that has its architecture.

    Args:
        model: Released weights for degraded pictures.
        share: 0 gives the clean network, 1 the restoring one.

    Raises:
        ConfigError: If the share is outside `[0, 1]`, or `model` has no clean network of the same architecture.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"`denoise` must be from 0 (keep all) to 1 (as {model} does), got {share:g}; try 0.5.")
    restoring = load_network(model)
    others = [load_network(name) for name in released_names()] if model in released_names() else []
    architecture = restoring.network.architecture
    clean = [
        other.network
        for other in others
        if other.degradation is None and not other.adversarial and other.network.architecture == architecture
    ]
    if restoring.degradation is None or not clean:
        raise ConfigError(
            f"`denoise` blends a network for degraded pictures, such as {RESTORING}, got {model}; name that or leave "
            "the strength out."
        )
    mixed = build_network(architecture)
    start, end = clean[0].state_dict(), restoring.network.state_dict()
    mixed.load_state_dict({key: torch.lerp(start[key], end[key], share) for key in end})
    return mixed.eval()
