"""What is exported: one pass on luminance, and the whole way from RGB to RGB, both of any size.

Other programs reduce colour to gray for a one-channel network, so the second graph holds the colour conversion and the
bicubic chroma too. Bicubic is written as a transposed convolution, which every runtime has and computes alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.imaging.bicubic import keys
from prosr_lightning.imaging.color import rgb_to_ycbcr
from prosr_lightning.networks import SRNetwork

_REACH = 2  # pixels that the bicubic kernel reaches


class LuminanceStep(nn.Module):
    """One pass: luminance `(N, 1, H, W)` to `(N, 1, factor * H, factor * W)`, studio range / 255, not clamped.

    Args:
        network: Any.
        factor: 2 for a network that repeats its step.
    """

    def __init__(self, network: SRNetwork, *, factor: int) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, luminance: Tensor) -> Tensor:
        """Enlarge the luminance."""
        return self.network.enlarge(luminance, self.factor)


class RgbChain(nn.Module):
    """The whole way: RGB `(N, 3, H, W)` in `[0, 1]` to RGB `(N, 3, scale * H, scale * W)` in `[0, 1]`."""

    kernel: Tensor
    to_ycbcr: Tensor
    to_rgb: Tensor
    offset: Tensor

    def __init__(self, network: SRNetwork, *, scale: int) -> None:
        super().__init__()
        self.network, self.scale = network, scale
        offset = rgb_to_ycbcr(torch.zeros(3, 1, 1, dtype=torch.float64))
        matrix = (rgb_to_ycbcr(torch.eye(3, dtype=torch.float64)[..., None]) - offset)[..., 0]
        self.register_buffer("offset", offset.flatten().float(), persistent=False)
        self.register_buffer("to_ycbcr", matrix[..., None, None].float(), persistent=False)
        self.register_buffer("to_rgb", torch.linalg.inv(matrix)[..., None, None].float(), persistent=False)
        weights = bicubic_kernel(scale)
        self.register_buffer("kernel", torch.outer(weights, weights)[None, None].repeat(2, 1, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """Enlarge the picture."""
        ycbcr = F.conv2d(rgb, self.to_ycbcr, self.offset)
        luminance = self.network.enlarge(ycbcr[:, :1], self.scale)
        enlarged = torch.cat([luminance, self.chroma(ycbcr[:, 1:])], dim=1)
        return F.conv2d(enlarged - self.offset[:, None, None], self.to_rgb).clamp(0, 1)

    def chroma(self, chroma: Tensor) -> Tensor:
        """Enlarge `(N, 2, H, W)` as `imaging.resize.bicubic_upscale` does."""
        mirrored = _mirrored(_mirrored(chroma.mT).mT)
        margin = 7 * self.scale // 2  # two mirrored pixels and the kernel's start, 1.5 pixels before its own
        return F.conv_transpose2d(mirrored, self.kernel, stride=self.scale, padding=margin, groups=2)


def bicubic_kernel(scale: int) -> Tensor:
    """Return Keys' kernel (a = -0.5, MATLAB's) at the `4 * scale` phases of enlarging by an even factor.

    Examples:
        >>> bicubic_kernel(2).tolist()
        [-0.0234375, -0.0703125, 0.2265625, 0.8671875, 0.8671875, 0.2265625, -0.0703125, -0.0234375]
    """
    return keys((torch.arange(4 * scale, dtype=torch.float64) + 0.5) / scale - _REACH).float()


def _mirrored(image: Tensor) -> Tensor:
    """Repeat the two outermost columns in mirrored order, the edge first; in slices that every importer knows.

    With the edges repeated once, column 2 is the second one, or the only one.
    """
    once = torch.cat([image[..., :1], image, image[..., -1:]], dim=-1)
    return torch.cat([once[..., 2:3], once, once[..., -3:-2]], dim=-1)
