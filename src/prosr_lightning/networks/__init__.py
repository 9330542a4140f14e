"""Networks: pure `nn.Module`s on luminance tensors. No losses, no Lightning, no Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.imaging.factors import levels_up_to, power_of_two
from prosr_lightning.networks.architecture import TARGET, import_by_path, normalised, target_of
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
from prosr_lightning.networks.complexity import longest_path, multiply_adds_by_scale, multiply_adds_per_output_pixel
from prosr_lightning.networks.contract import (
    DirectNetwork,
    SRNetwork,
    count_layers,
    count_parameters,
)
from prosr_lightning.networks.discriminator import Discriminator
from prosr_lightning.networks.generator import Generator
from prosr_lightning.networks.progressive import ProgressiveNetwork
from prosr_lightning.networks.subpixel import SubPixelGenerator

__all__ = [
    "DRCN",
    "DRRN",
    "ESPCN",
    "FSRCNN",
    "NETWORKS",
    "SRCNN",
    "VDSR",
    "DirectNetwork",
    "Discriminator",
    "Generator",
    "LapSRN",
    "MSLapSRN",
    "ProgressiveNetwork",
    "SRNetwork",
    "SRResNet",
    "SubPixelGenerator",
    "Trust",
    "build_network",
    "count_layers",
    "count_parameters",
    "levels_up_to",
    "longest_path",
    "multiply_adds_by_scale",
    "multiply_adds_per_output_pixel",
    "network_class",
    "power_of_two",
]

NETWORKS: tuple[type[SRNetwork], ...] = (
    Generator,
    SubPixelGenerator,
    SRCNN,
    FSRCNN,
    ESPCN,
    VDSR,
    DRCN,
    DRRN,
    SRResNet,
    LapSRN,
    MSLapSRN,
)

Trust = Sequence[str | type[SRNetwork]]  # networks that files may ask for besides ours: classes or their dotted paths


def network_class(target: str, *, trust: Trust = ()) -> type[SRNetwork] | None:
    """Return the class that a file names, or None if it is neither ours nor trusted. What a file names is not imported.

    Args:
        target: The dotted path.
        trust: Classes of others, or their dotted paths, which are imported. One that has moved to another module since
            the file was written is known by its name.

    Raises:
        ConfigError: If something trusted cannot be imported or is no `SRNetwork`.

    Examples:
        >>> network_class("prosr_lightning.networks.MSLapSRN").title, network_class("os.system")
        ('MS-LapSRN', None)
    """
    allowed = {target_of(kind): kind for kind in NETWORKS}
    for trusted in trust:
        kind = _imported(trusted) if isinstance(trusted, str) else trusted
        allowed |= {target_of(kind): kind, str(trusted): kind}
        if kind.__name__ == target.rpartition(".")[-1]:
            allowed.setdefault(target, kind)
    return allowed.get(target)


def build_network(architecture: Mapping[str, Any], *, trust: Trust = ()) -> SRNetwork:
    """Rebuild a network from the plain values that its `architecture` property gave.

    Args:
        architecture: The dotted path of the class under "_target_", constructor arguments under theirs.
        trust: As in `network_class`.

    Returns:
        The network, with fresh weights.

    Raises:
        CheckpointError: If the class is neither ours nor trusted, or the arguments do not fit it.
        ConfigError: As `network_class`.
    """
    arguments = normalised(architecture)
    target = arguments.pop(TARGET, None)
    kind = network_class(str(target), trust=trust)
    if kind is None:
        raise CheckpointError(
            f"The architecture must be a network of this version of prosr_lightning or a trusted one, got {target!r}. "
            f"Files never decide what is imported; if it is yours, name it: trusted_networks=[{target}], for "
            f'prosr-upscale and prosr-export --trust {target}, in Python trust=["{target}"].'
        )
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The arguments stored for {kind.__name__} do not fit it: {error}") from error


def _imported(path: str) -> type[SRNetwork]:
    try:
        kind = import_by_path(path)
    except ImportError as error:
        raise ConfigError(
            f"A trusted network must be the path of a class that can be imported, such as mypackage.MyNetwork, got "
            f"{path!r} ({error}); check its spelling, and that its package is installed or its folder in PYTHONPATH."
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, SRNetwork)):
        raise ConfigError(f"A trusted network must be a subclass of prosr_lightning.networks.SRNetwork, got {path!r}.")
    return kind
