"""Progressive image super-resolution: ProSRN and ProSRGAN with PyTorch Lightning and Hydra."""

from typing import TYPE_CHECKING, Any

import lazy_loader

__version__ = "0.1.0"
DEFAULT_MODEL = "prosrn_large"  # the best released weights, in less time than the paper's network; docs/results.md
AUTO_MODEL = "auto"  # for prosr-upscale: DEFAULT_MODEL, or what the file asks for

if TYPE_CHECKING:
    from prosr_lightning.networks import Generator as Generator
    from prosr_lightning.networks.weights import load_network as load_network
    from prosr_lightning.upscale.upscaler import Upscaler as Upscaler

# the public names are imported when they are first used: `import prosr_lightning` costs nothing
_public, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"networks": ["Generator"], "networks.weights": ["load_network"], "upscale.upscaler": ["Upscaler"]},
)
__all__ += ["__version__"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever is public
    try:
        return _public(name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", f"{__name__}.networks"):  # the latter where enlarging alone is installed
            raise
        raise ImportError(
            f"prosr_lightning.{name} needs PyTorch and the whole package, which are not installed; pip install "
            "prosr-lightning in an environment of its own."
        ) from error
