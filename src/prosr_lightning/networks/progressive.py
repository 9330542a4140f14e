"""A network that enlarges by 2 and is applied again and again (Sec. 2.1, Fig. 2), whatever its layers are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.imaging.factors import levels_up_to
from prosr_lightning.networks.blocks import ImageConvTranspose2d, bilinear_kernel
from prosr_lightning.networks.contract import SRNetwork


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer in a chain of them, as `networks.streaming` runs it in bands of rows.

    Attributes:
        convolution: A 3x3 convolution with padding 1, or a 4x4 transposed one with stride 2 and padding 1.
        shortcut: Number of the layer, from 0, whose input is combined with this one's output; None for nothing.
        combine: How: a function of (output, shortcut) that looks at single pixels and may change the output in place.
        activation: What follows; it looks at single pixels and may change its argument in place. None for nothing.
        shuffle: Factor of the pixel shuffle at the end; 1 for none.
    """

    convolution: nn.Conv2d | nn.ConvTranspose2d
    shortcut: int | None = None
    combine: Callable[[Tensor, Tensor], Tensor] = torch.Tensor.add_
    activation: Callable[[Tensor], Tensor] | None = None
    shuffle: int = 1


def bilinear_enlargement() -> nn.ConvTranspose2d:
    """Return the layer of the enlarged image: a learned 4x4 transposed convolution that starts as bilinear."""
    layer = ImageConvTranspose2d(1, 1, 4, stride=2, padding=3, bias=False)  # padding 1 after F.pad by 1
    with torch.no_grad():
        layer.weight.copy_(bilinear_kernel())
    return layer


class ProgressiveNetwork(SRNetwork):
    """Enlarge a luminance image by 2: an enlarged image plus a residual image; larger factors repeat it.

    Subclasses say how the residual is made, and set `image_up`.
    """

    image_up: nn.ConvTranspose2d  # see `bilinear_enlargement`

    @abstractmethod
    def residual(self, lr: Tensor) -> Tensor:
        """Return the residual image `(N, 1, 2H, 2W)` of luminance `(N, 1, H, W)`."""

    def layers(self) -> tuple[Layer, ...] | None:
        """Return the layers of the residual image in order, for bands of rows; None if it is no chain of them."""
        return None

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge by 2, one level of Fig. 2.

        Args:
            lr: Luminance `(N, 1, H, W)`, floating point, nominally in `[0, 1]`; any H and W from 1 up.

        Returns:
            Luminance `(N, 1, 2H, 2W)`, not clamped.
        """
        return self.enlarged(lr) + self.residual(lr)

    def enlarged(self, lr: Tensor) -> Tensor:
        """Enlarge the image itself, in full precision also under autocast: bfloat16 has fewer digits than 8 bits."""
        return self.image_up(F.pad(lr, (1, 1, 1, 1), mode="replicate"))  # type: ignore[no-any-return]  # nn.Module is untyped

    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, Tensor]:
        """Apply the network log2(scale) times, each sub-SR image being the next level's input (Sec. 2.1, Fig. 2).

        Args:
            lr: Luminance `(N, 1, H, W)`.
            scale: Total factor, a power of two from 2 up.
            detach_between_levels: Stop the gradient between levels (docs/paper-notes.md, entry 8).

        Returns:
            The image of every level by its factor, `(N, 1, 2H, 2W)` first and `(N, 1, scale * H, scale * W)` last.

        Raises:
            ConfigError: If `scale` is not a power of two from 2 up.
        """
        images: dict[int, Tensor] = {}
        for factor in levels_up_to(scale):
            images[factor] = self(lr)
            lr = images[factor].detach() if detach_between_levels else images[factor]
        return images

    def passes(self, scale: int) -> list[tuple[int, int]]:
        """Return one pass for each level."""
        return [(2, self.receptive_radius) for _ in levels_up_to(scale)]

    @property
    def scales(self) -> None:
        """None: every power of two."""
        return

    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return the factors supervised when training up to `scale`: all of them (Eq. 9)."""
        return levels_up_to(scale)
