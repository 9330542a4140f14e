"""What lies between a picture and the LR image that a network gets: what the network learns to undo.

One object serves training patches, validation images, tables and the pictures beside them; `conf/degradation` names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.chance import (
    draw_mask,
    draw_qualities,
    random_of,
    read_qualities,
    read_range,
    read_share,
    settings_name,
)
from prosr_lightning.imaging.color import from_pixels, to_pixels
from prosr_lightning.imaging.jpeg import BLOCK, jpeg, jpeg_anywhere
from prosr_lightning.imaging.noise import add_noise
from prosr_lightning.imaging.resize import bicubic_downscale

BICUBIC = "bicubic"  # the name of the usual one

# Numbers that seed the random values of a batch, as `numpy.random.default_rng` takes them.
Draw = tuple[int, ...]


def patch_margin(scale: int) -> int:
    """Return the HR pixels to cut around a patch so that its bicubic LR equals that patch of the whole image's LR.

    The antialiased kernel reaches 2 LR pixels = 2 * scale HR pixels from the centre of an LR pixel, which lies
    scale / 2 inside the patch; the margin is a multiple of the scale so that the grids stay aligned.
    """
    return 2 * scale


class Degradation(ABC):
    """Makes LR images; one of your own is a subclass and a file in a group `degradation` that names it."""

    @abstractmethod
    def __call__(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Make the LR images of a batch.

        Args:
            hr: `(N, C, H, W)`, floating point, nominally in `[0, 1]`, H and W multiples of `scale`, on any device. One
                plane is luminance; three are YCbCr / 255 in studio range (`imaging.color`), for what mixes colours.
            scale: Total factor, a power of two.
            draw: All random values must be a function of this: (seed, epoch, number of the batch) in training, the
                image's place in its set elsewhere, so that each method gets the same images each time.

        Returns:
            `(N, C, H / scale, W / scale)` of the same dtype and device, neither rounded nor clamped by the caller.
        """

    def of_patches(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Make the LR images of training patches; the same as of whole images unless a subclass knows better.

        Args:
            hr: As in `__call__`, with a margin on every side.
            scale: As in `__call__`.
            draw: As in `__call__`.
        """
        return self(hr, scale, draw=draw)

    def applied(self, hr: Tensor, scale: int, *, draw: Draw, patches: bool = False) -> Tensor:
        """Return what `__call__`, or `of_patches`, makes of the same arguments, looked at.

        Raises:
            ConfigError: If LR has another size or dtype than it must have.
        """
        lr = self.of_patches(hr, scale, draw=draw) if patches else self(hr.clone(), scale, draw=draw)  # `hr` is used on
        wanted = (*hr.shape[:2], hr.shape[-2] // scale, hr.shape[-1] // scale)
        if lr.shape != wanted or lr.dtype != hr.dtype:
            raise ConfigError(
                f"The degradation {self.name} must shrink {tuple(hr.shape)} by {scale} to {wanted} in {hr.dtype}, got "
                f"{tuple(lr.shape)} in {lr.dtype}; let it keep N, C and the dtype."
            )
        return lr

    def margin(self, scale: int) -> int:
        """Return the HR pixels around an LR pixel's own that may change it, a multiple of `scale`.

        Training patches are cut with so many more on every side, so that their LR image is the whole image's: without
        them the edge of a patch would be degraded as the edge of a picture is. The default is that of bicubic.
        """
        return patch_margin(scale)

    @property
    def color(self) -> bool:
        """Whether it needs all three planes, also where luminance alone is used of what it makes."""
        return False

    @property
    def name(self) -> str:
        """What tables call it."""
        return type(self).__name__


class ColorDegradation(Degradation):
    """One that mixes R, G and B; a dataclass of its settings."""

    @property
    def color(self) -> bool:
        """True."""
        return True

    @property
    def name(self) -> str:
        """What tables call it, with what was set."""
        return settings_name(type(self).__name__.lower(), self)


@final
class Bicubic(Degradation):
    """MATLAB's antialiased bicubic downscaling (Sec. 2.2), alone: the degradation of the paper and of its tables."""

    def __call__(self, hr: Tensor, scale: int, *, draw: Draw = ()) -> Tensor:
        """Shrink by `scale`; nothing is random."""
        return bicubic_downscale(hr, scale)

    @property
    def name(self) -> str:
        """What tables call it."""
        return BICUBIC


@final
class Jpeg(Degradation):
    """Bicubic, then a JPEG file of random quality: 8-bit codes, as it is decoded.

    Luminance alone is compressed as a gray file, whose pixels are those of a colour file but for the rounding of R, G
    and B; three planes in 4:2:0. A whole image is compressed as a file is; of the training patches a share stays clean,
    and the grid of each begins anywhere, as in the middle of a picture, so that a network cannot learn where to expect
    it.

    Args:
        quality: The qualities to draw from, lowest and highest, or a single one; 1 to 100, as Pillow counts them.
        clean: Share of the training patches that are left as bicubic makes them, so that one network keeps what is
            clean; whole images are all compressed.

    Raises:
        ConfigError: If a value is outside its range.
    """

    def __init__(self, *, quality: int | Sequence[int] = (30, 95), clean: float = 0.2) -> None:
        self.quality = read_qualities(quality)
        self.clean = read_share("clean", clean)

    def __call__(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Shrink by `scale` and compress, with the grid in the upper left corner."""
        lr = bicubic_downscale(hr, scale)
        return from_pixels(jpeg(to_pixels(lr), draw_qualities(self.quality, random_of(draw), len(lr))))

    def of_patches(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Shrink by `scale`, and compress all but the clean share with the grid anywhere."""
        lr, random = bicubic_downscale(hr, scale), random_of(draw)
        lossy = jpeg_anywhere(to_pixels(lr), draw_qualities(self.quality, random, len(lr)), random)
        clean = draw_mask(self.clean, random, lr)
        return torch.where(clean, lr, from_pixels(lossy))

    def margin(self, scale: int) -> int:
        """Return bicubic's and a block; of chroma, whose blocks are twice as large, the last is as at an edge."""
        return super().margin(scale) + BLOCK * scale

    @property
    def name(self) -> str:
        """What tables call it, with its quality."""
        lowest, highest = self.quality
        return f"JPEG q{lowest}" + (f"-{highest}" if highest > lowest else "")


@dataclass(kw_only=True, eq=False)
class Noise(ColorDegradation):
    """Bicubic, then the noise of a sensor, rounded to 8 bits.

    Args:
        sigma: Standard deviations to draw from, lowest and highest, or a single one, in 8-bit codes, see `add_noise`.
        poisson: Share of the images with Poisson noise and not Gaussian.
        gray: Share of the images with the same noise in R, G and B.
        clean: As of `Jpeg`.

    Raises:
        ConfigError: If a value is outside its range.
    """

    sigma: float | Sequence[float] = (0, 25)
    poisson: float = 0.4
    gray: float = 0.4
    clean: float = 0.2

    def __post_init__(self) -> None:
        self.sigmas = read_range("sigma", self.sigma, 0, 255)
        for name in ("poisson", "gray", "clean"):
            read_share(name, getattr(self, name))

    def __call__(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Shrink by `scale` and add noise."""
        return self._noisy(bicubic_downscale(hr, scale), random_of(draw))

    def of_patches(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Shrink by `scale`, and add noise to all but the clean share."""
        lr, random = bicubic_downscale(hr, scale), random_of(draw)
        return torch.where(draw_mask(self.clean, random, lr), lr, self._noisy(lr, random))

    def _noisy(self, lr: Tensor, random: np.random.Generator) -> Tensor:
        sigma = torch.from_numpy(random.uniform(*self.sigmas, size=len(lr)).astype(np.float32))
        poisson, gray = (draw_mask(share, random, lr) for share in (self.poisson, self.gray))
        return from_pixels(add_noise(to_pixels(lr), sigma, poisson=poisson, gray=gray, random=random))
