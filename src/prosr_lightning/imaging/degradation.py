"""What lies between a picture and the LR image that a network gets: what the network learns to undo.

One object serves training patches, validation images, tables and the pictures beside them; `conf/degradation` names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.color import rgb_to_ycbcr, ycbcr_to_rgb
from prosr_lightning.imaging.jpeg import BLOCK, jpeg
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

    def margin(self, scale: int) -> int:
        """Return the HR pixels around an LR pixel's own that may change it, a multiple of `scale`.

        Training patches are cut with so many more on every side, so that their LR image is the whole image's: without
        them the edge of a patch would be degraded as the edge of a picture is. The default is that of bicubic.
        """
        return patch_margin(scale)

    @property
    def name(self) -> str:
        """What tables call it."""
        return type(self).__name__


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

    A whole image is compressed as a file is; of the training patches a share stays clean, and the 8x8 grid of each
    begins anywhere, as in the middle of a picture, so that a network cannot learn where to expect it.

    Args:
        quality: The qualities to draw from, lowest and highest, or a single one; 1 to 100, as Pillow counts them.
        clean: Share of the training patches that are left as bicubic makes them, so that one network keeps what is
            clean; whole images are all compressed.

    Raises:
        ConfigError: If a value is outside its range.
    """

    def __init__(self, *, quality: int | Sequence[int] = (30, 95), clean: float = 0.2) -> None:
        ends = [quality] if isinstance(quality, int | float) else list(quality)
        whole = all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
        if len(ends) not in (1, 2) or not whole or not 1 <= ends[0] <= ends[-1] <= 100:
            raise ConfigError(
                "`quality` must be a whole number from 1 to 100, or two of them with the lower first, got "
                f"{quality!r}; choose for instance 40 or [30,95]."
            )
        if isinstance(clean, bool) or not isinstance(clean, int | float) or not 0 <= clean <= 1:
            raise ConfigError(f"`clean` must be a share from 0 to 1, got {clean!r}; 0.2 keeps clean pictures sharp.")
        self.lowest, self.highest, self.clean = ends[0], ends[-1], clean

    def __call__(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Shrink by `scale` and compress, with the grid in the upper left corner."""
        lr = bicubic_downscale(hr, scale)
        return _compressed(lr, self._qualities(random_of(draw), len(lr)))

    def of_patches(self, hr: Tensor, scale: int, *, draw: Draw) -> Tensor:
        """Shrink by `scale`, and compress all but the clean share with the grid anywhere."""
        lr, random = bicubic_downscale(hr, scale), random_of(draw)
        qualities = self._qualities(random, len(lr))
        begin = torch.from_numpy(random.integers(BLOCK, size=(2, len(lr), 1)))  # of each patch within the first block
        clean = torch.from_numpy(random.random(len(lr)) < self.clean).to(lr.device)
        around = torch.arange(lr.shape[-1] + BLOCK - 1) - begin
        lossy = _compressed(_windows(lr, around.clamp(0, lr.shape[-1] - 1)), qualities)
        return torch.where(clean[:, None, None, None], lr, _windows(lossy, torch.arange(lr.shape[-1]) + begin))

    def margin(self, scale: int) -> int:
        """Return bicubic's and a block."""
        return super().margin(scale) + BLOCK * scale

    @property
    def name(self) -> str:
        """What tables call it, with its quality."""
        return f"JPEG q{self.lowest}" + (f"-{self.highest}" if self.highest > self.lowest else "")

    def _qualities(self, random: np.random.Generator, count: int) -> Tensor:
        return torch.from_numpy(random.integers(self.lowest, self.highest, size=count, endpoint=True))


def random_of(draw: Draw) -> np.random.Generator:
    """Return the generator of a degradation's random values, which is not the one that draws the patches."""
    return np.random.default_rng((*draw, 2))


def _compressed(lr: Tensor, quality: Tensor) -> Tensor:
    """Compress luminance as a gray file, or YCbCr as a colour file."""
    if lr.shape[1] == 3:
        return rgb_to_ycbcr(jpeg(ycbcr_to_rgb(lr) * 255, quality) / 255)
    full_range = (lr * 255 - 16) * (255 / 219)  # the luma of JPEG's own YCbCr
    return (jpeg(full_range, quality) * (219 / 255) + 16) / 255


def _windows(images: Tensor, positions: Tensor) -> Tensor:
    """Read from each image its own rows and columns, `positions` being `(2, N, S)`."""
    rows, columns = positions.to(images.device)
    batch, plane = (torch.arange(size, device=images.device) for size in images.shape[:2])
    return images[batch[:, None, None, None], plane[:, None, None], rows[:, None, :, None], columns[:, None, None]]
