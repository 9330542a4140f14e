"""Progressive image super-resolution: ProSRN and ProSRGAN with PyTorch Lightning and Hydra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from prosr_lightning.networks import Generator as Generator
    from prosr_lightning.networks.weights import load_network as load_network
    from prosr_lightning.upscale.upscaler import Upscaler as Upscaler

_PUBLIC = {
    "Generator": "prosr_lightning.networks",
    "Upscaler": "prosr_lightning.upscale.upscaler",
    "load_network": "prosr_lightning.networks.weights",
}
__all__ = ["Generator", "Upscaler", "__version__", "load_network"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # the type is that of the public name
    """Import a public name when it is first used, so that `import prosr_lightning` costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'prosr_lightning' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  # costs nothing before it is needed

    return getattr(import_module(_PUBLIC[name]), name)
