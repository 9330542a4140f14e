"""What lies between a picture and the LR image that a network gets: what the network learns to undo.

One object serves training patches, validation images, tables and the pictures beside them; `conf/degradation` names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor

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
