"""Layers, parameters and multiply-adds, computed from the networks (Table 1, Fig. 8 and 9)."""

from __future__ import annotations

from functools import cache
from inspect import signature

from prosr_lightning.networks import NETWORKS, Generator, LapSRN, SRNetwork, count_parameters

# What the paper calls a method, and its network. Methods without one (A+, RFL, SelfExSR) are not here.
_NETWORKS: dict[str, type[SRNetwork]] = {kind.title: kind for kind in NETWORKS} | {"ProSRGAN": Generator}
LAPSRN_8X_DEPTH = 5  # of the authors' 8x network, where their 2x and 4x have 10


def network_of(method: str, scale: int) -> SRNetwork | None:
    """Return a method's network with fresh weights, or None where this package has none.

    Args:
        method: As the tables call it, with or without the levels in brackets.
        scale: Total factor.
    """
    kind = _NETWORKS.get(method.partition(" (")[0])
    return None if kind is None else fresh_network(kind, scale)


def fresh_network(kind: type[SRNetwork], scale: int) -> SRNetwork:
    """Return a network of a class with fresh weights, built for the scale where it is built for one."""
    return kind(scale=scale) if "scale" in signature(kind).parameters else kind()


@cache
def parameters_of(method: str, scale: int) -> int | None:
    """Return the number of learned values of a method's network, or None where this package has no such network.

    Examples:
        >>> parameters_of("ProSRN (Ours 2x)", 8)
        436113
    """
    network = network_of(method, scale)
    return None if network is None else count_parameters(network)


def parameters_by_scale(scales: tuple[int, ...] = (2, 4, 8)) -> dict[str, dict[int, int]]:
    """Return the curves of Fig. 9: the parameters of each progressive method at each scale.

    Returns:
        Counts by method and scale. LapSRN has its authors' ten convolutions in each level; their published 8x network
        has five, and is a curve of its own.
    """
    curves = {
        method: {scale: parameters_of(method, scale) or 0 for scale in scales}
        for method in ("LapSRN", "MS-LapSRN", "ProSRN")
    }
    if 8 in scales:
        authors = LapSRN(scale=8, depth=LAPSRN_8X_DEPTH)
        curves[f"LapSRN, {LAPSRN_8X_DEPTH} convolutions a level"] = {8: count_parameters(authors)}
    return curves
