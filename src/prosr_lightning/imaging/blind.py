"""Everything that may lie between a scene and a file, once or twice, in random order: for pictures of unknown origin.

The scheme is that of BSRGAN (Zhang et al. 2021) and Real-ESRGAN (Wang et al. 2021); their code is not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.blur import blur, gaussian_kernels
from prosr_lightning.imaging.chance import (
    draw_mask,
    draw_qualities,
    random_of,
    read_qualities,
    read_range,
    read_share,
)
from prosr_lightning.imaging.color import from_pixels, to_pixels
from prosr_lightning.imaging.degradation import ColorDegradation, Draw
from prosr_lightning.imaging.jpeg import BLOCK, jpeg, jpeg_anywhere
from prosr_lightning.imaging.noise import add_noise
from prosr_lightning.imaging.resize import bicubic_downscale

_INTERPOLATIONS = ("bicubic", "bilinear", "area")
_GROUP = 8  # patches with the same order, sizes and interpolations, which they must share to go through as a batch
Size = tuple[int, int]


@dataclass(kw_only=True, eq=False)
class Blind(ColorDegradation):
    """Blur, shrinking, noise and JPEG, in random order, once or twice; a JPEG file of the second round comes last.

    All ranges are two numbers or a single one, and are drawn from evenly for each image.

    Args:
        blur: Share of the images that a round blurs.
        blur_sigma: Standard deviations of the Gaussian, in pixels of LR.
        anisotropic: Share of the blurs that are elliptic, in any direction.
        interpolations: What shrinks: "bicubic", "bilinear" and "area", all of them antialiased; each as likely.
        noise: Share of the images that a round adds noise to.
        sigma: As of `Noise`.
        poisson: As of `Noise`.
        gray: As of `Noise`.
        jpeg: Share of the images that a round compresses.
        quality: As of `Jpeg`.
        twice: Share of the images (in training of each eight patches) that go through two rounds.
        clean: As of `Jpeg`.

    Raises:
        ConfigError: If a value is outside its range.
    """

    blur: float = 0.6
    blur_sigma: float | Sequence[float] = (0.1, 1.0)
    anisotropic: float = 0.5
    interpolations: Sequence[str] | str = ("bicubic", "bilinear", "area")
    noise: float = 0.6
    sigma: float | Sequence[float] = (0, 25)
    poisson: float = 0.4
    gray: float = 0.4
    jpeg: float = 0.8
    quality: int | Sequence[int] = (30, 95)
    twice: float = 0.5
    clean: float = 0.2

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(field.default, float):
                read_share(field.name, getattr(self, field.name))
        self._blur_sigmas = read_range("blur_sigma", self.blur_sigma, 0, 5)
        self._sigmas = read_range("sigma", self.sigma, 0, 255)
        self._qualities = read_qualities(self.quality)
        self._hows = [self.interpolations] if isinstance(self.interpolations, str) else list(self.interpolations)
        if not self._hows or not set(self._hows) <= set(_INTERPOLATIONS):
            raise ConfigError(
                f"`interpolations` must be some of {list(_INTERPOLATIONS)}, got {self.interpolations!r}; "
                "[bicubic] takes that alone."
            )

    def __call__(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Degrade whole images, the grid of JPEG in the upper left corner."""
        return self._groups(hr, scale, random_of(draw), patches=False)

    def of_patches(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Degrade all but the clean share, with the grids of JPEG anywhere."""
        random = random_of(draw)
        clean = draw_mask(self.clean, random, hr).flatten().nonzero().flatten()
        lr = self._groups(hr, scale, random, patches=True)
        return lr.index_copy(0, clean, bicubic_downscale(hr[clean], scale)) if len(clean) else lr

    def margin(self, scale: int) -> int:
        """Return bicubic's, a block and the blur of a round; what reaches further is as at a picture's edge."""
        return super().margin(scale) + (BLOCK + math.ceil(3 * self._blur_sigmas[1])) * scale

    def _groups(self, hr: Tensor, scale: int, random: np.random.Generator, *, patches: bool) -> Tensor:
        pixels, size = to_pixels(hr), (hr.shape[-2] // scale, hr.shape[-1] // scale)
        return from_pixels(
            torch.cat([self._degraded(group, size, random, patches) for group in torch.split(pixels, _GROUP)])
        )

    def _degraded(self, pixels: Tensor, size: Size, random: np.random.Generator, patches: bool) -> Tensor:
        """Return `(N, C, *size)` of HR pixels after one or two rounds."""
        sizes = [size]
        if random.random() < self.twice:  # the first round ends anywhere between the two sizes
            part = random.random()
            between = [
                round(small * (large / small) ** part) for small, large in zip(size, pixels.shape[-2:], strict=True)
            ]
            sizes.insert(0, (between[0], between[1]))
        for number, end in enumerate(sizes, start=1):
            steps = [str(step) for step in random.permutation(["blur", "shrink", "noise", "jpeg"])]
            if number == len(sizes):
                steps.sort(key="jpeg".__eq__)
            for step in steps:
                if step == "shrink":
                    pixels = _shrunk(pixels, end, str(random.choice(self._hows)))
                elif step == "blur":
                    pixels = self._blurred(pixels, pixels.shape[-1] / size[1], random)
                elif step == "noise":
                    pixels = self._noisy(pixels, random)
                else:
                    pixels = self._compressed(pixels, random, patches)
        return pixels

    def _blurred(self, pixels: Tensor, factor: float, random: np.random.Generator) -> Tensor:
        count = len(pixels)
        sigmas, angles = random.uniform(*self._blur_sigmas, size=(2, count)), random.uniform(0, math.pi, size=count)
        sigmas[1] = np.where(random.random(count) < self.anisotropic, sigmas[1], sigmas[0])
        sigmas *= factor * (random.random(count) < self.blur)
        return blur(pixels, gaussian_kernels(torch.from_numpy(sigmas), torch.from_numpy(angles)))

    def _noisy(self, pixels: Tensor, random: np.random.Generator) -> Tensor:
        sigma = random.uniform(*self._sigmas, size=len(pixels)) * (random.random(len(pixels)) < self.noise)
        poisson, gray = (draw_mask(share, random, pixels) for share in (self.poisson, self.gray))
        return add_noise(pixels, torch.from_numpy(sigma), poisson=poisson, gray=gray, random=random)

    def _compressed(self, pixels: Tensor, random: np.random.Generator, patches: bool) -> Tensor:
        chosen, quality = draw_mask(self.jpeg, random, pixels), draw_qualities(self._qualities, random, len(pixels))
        lossy = jpeg_anywhere(pixels, quality, random) if patches else jpeg(pixels, quality)
        return torch.where(chosen, lossy, pixels)


def _shrunk(pixels: Tensor, size: Size, how: str) -> Tensor:
    """Shrink to a size; by a whole factor bicubic is MATLAB's, also at the edge."""
    factor = pixels.shape[-1] // size[1]
    if how == "bicubic" and pixels.shape[-2:] == (size[0] * factor, size[1] * factor):
        return bicubic_downscale(pixels, factor)
    if how == "area":
        return F.interpolate(pixels, size=size, mode="area")
    return F.interpolate(pixels, size=size, mode=how, antialias=True, align_corners=False)
