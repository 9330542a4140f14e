"""Networks: pure `nn.Module`s on luminance tensors. No losses, no Lightning, no Hydra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from prosr_lightning.errors import CheckpointError
from prosr_lightning.networks.compared import (
    DRCN,
    DRRN,
    ESPCN,
    FSRCNN,
    SRCNN,
    VDSR,
    LapSRN,
    MSLapSRN,
    SRResNet,
)
from prosr_lightning.networks.complexity import longest_path, multiply_adds_per_output_pixel
from prosr_lightning.networks.contract import SRNetwork, count_layers, count_parameters, levels_up_to
from prosr_lightning.networks.generator import Generator
from prosr_lightning.networks.progressive import ProgressiveNetwork
from prosr_lightning.networks.subpixel import SubPixelGenerator

__all__ = [
    "DRCN",
    "DRRN",
    "ESPCN",
    "FSRCNN",
    "SRCNN",
    "VDSR",
    "Generator",
    "LapSRN",
    "MSLapSRN",
    "ProgressiveNetwork",
    "SRNetwork",
    "SRResNet",
    "SubPixelGenerator",
    "build_network",
    "count_layers",
    "count_parameters",
    "levels_up_to",
    "longest_path",
    "method_name",
    "multiply_adds_per_output_pixel",
]

_METHODS = {
    "Generator": "ProSRN",
    "MSLapSRN": "MS-LapSRN",
    "SubPixelGenerator": "ProSRN (sub-pixel)",
}  # the others are called what their classes are


def method_name(network: str) -> str:
    """Return what the paper calls a network.

    Args:
        network: The name of its class.

    Example:
        >>> method_name("Generator"), method_name("VDSR")
        ('ProSRN', 'VDSR')
    """
    return _METHODS.get(network, network)


def build_network(architecture: Mapping[str, Any]) -> nn.Module:
    """Rebuild a network from the plain values that its `architecture` property gave.

    Args:
        architecture: Class name under "name", constructor arguments under theirs.

    Returns:
        The network, with fresh weights.

    Raises:
        CheckpointError: If the name is not a network of this package or the arguments do not fit it.
    """
    arguments = dict(architecture)
    name = arguments.pop("name", None)
    networks = {key: value for key, value in globals().items() if key in __all__ and isinstance(value, type)}
    found = networks.get(str(name))
    if found is None or not issubclass(found, nn.Module):
        raise CheckpointError(
            f"The architecture must be a network of this version of prosr_lightning, got {name!r}; "
            "the file may come from a newer version or from another program."
        )
    try:
        return found(**arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The arguments stored for {name} do not fit it: {error}") from error
