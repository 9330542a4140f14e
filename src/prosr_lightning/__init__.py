"""Progressive image super-resolution: ProSRN and ProSRGAN with PyTorch Lightning and Hydra."""

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"
DEFAULT_MODEL = "prosrn_large"  # the best released weights, in less time than the paper's network; docs/results.md
AUTO_MODEL = "auto"  # for prosr-upscale: DEFAULT_MODEL, or what the file asks for

if TYPE_CHECKING:
    from prosr_lightning.networks import Generator as Generator
    from prosr_lightning.networks.weights import load_network as load_network
    from prosr_lightning.upscale.upscaler import Upscaler as Upscaler

# the public names are imported when they are first used: `import prosr_lightning` costs nothing
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"networks": ["Generator"], "networks.weights": ["load_network"], "upscale.upscaler": ["Upscaler"]},
)
__all__ += ["__version__"]
