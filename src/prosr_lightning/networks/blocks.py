"""Feature extraction structures (Fig. 4 and 6) and feature fusion (Sec. 2.2.2).

The three structures hold the same layers under the same state-dict keys and differ only in their skip connections, so
that an ablation changes the wiring and nothing else.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError


def full_precision(image: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast: bfloat16 has fewer digits than 8-bit pixels.

    Args:
        image: Tells the device.
    """
    if image.is_meta or not torch.is_autocast_enabled(image.device.type):
        return nullcontext()  # also what an exporter sees
    return torch.autocast(image.device.type, enabled=False)


class ImageConv2d(nn.Conv2d):
    """A convolution that reads or writes an image: in the precision of its weights, also under autocast.

    An image that passes through bfloat16 is off by up to half a gray level; features, of which many make a pixel, may
    be in it.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve as `nn.Conv2d` does."""
        with full_precision(input):
            return super().forward(input.to(self.weight.dtype))


class ImageConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that reads or writes an image; see `ImageConv2d`."""

    def forward(self, input: Tensor) -> Tensor:  # type: ignore[override]  # no output_size: the layers fix it
        """Convolve as `nn.ConvTranspose2d` does."""
        with full_precision(input):
            return super().forward(input.to(self.weight.dtype))


class _Convolutions(nn.Module):
    """`depth` 3x3 convolutions of `channels` feature maps; subclasses wire them up."""

    def __init__(self, *, depth: int, channels: int, negative_slope: float) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The layers, in order."""
        return [cast(nn.Conv2d, conv) for conv in self.convs]

    @property
    def shortcuts(self) -> dict[int, int]:
        """For each layer to whose output something is added: the number of the layer whose input that is."""
        return {}

    def activate(self, features: Tensor) -> Tensor:
        return F.leaky_relu(features, self.negative_slope, inplace=True)


class PlainStructure(_Convolutions):
    """A chain of convolutions, the "general structure" of Fig. 6, as in LapSRN.

    Args:
        depth: Number of 3x3 convolutions, at least 1.
        channels: Feature maps of every convolution.
        negative_slope: Slope of the LeakyReLU after each convolution.
    """

    def forward(self, entry: Tensor) -> Tensor:
        """Map entry features `(N, C, H, W)` to features of the same shape."""
        features = entry
        for conv in self.convs:
            features = self.activate(conv(features))
        return features


class ResidualStructure(_Convolutions):
    """Pairs of convolutions with an identity skip, the "residual structure" of Fig. 6 (ResNet, no batch norm).

    Args:
        depth: Number of 3x3 convolutions; even, because they come in pairs.
        channels: Feature maps of every convolution.
        negative_slope: Slope of the LeakyReLU.

    Raises:
        ConfigError: If `depth` is odd.
    """

    def __init__(self, *, depth: int, channels: int, negative_slope: float) -> None:
        if depth % 2:
            raise ConfigError(
                f"`depth` must be even for structure=residual, whose convolutions come in pairs, got {depth}; "
                f"choose {depth - 1 or 2} or {depth + 1}."
            )
        super().__init__(depth=depth, channels=channels, negative_slope=negative_slope)

    @property
    def shortcuts(self) -> dict[int, int]:
        """The second layer of each pair gets the input of the first."""
        return {number: number - 1 for number in range(1, len(self.convs), 2)}

    def forward(self, entry: Tensor) -> Tensor:
        """Map entry features `(N, C, H, W)` to features of the same shape."""
        features = entry
        for first, second in zip(self.convs[::2], self.convs[1::2], strict=True):
            features = self.activate(second(self.activate(first(features))).add(features))
        return features


class MemoryStructure(_Convolutions):
    """The memory block of Fig. 4: the entry features are added to the output of every `skip_every`-th convolution.

    Args:
        depth: Number of 3x3 convolutions, at least 1 (10 in Sec. 4.2).
        channels: Feature maps of every convolution.
        negative_slope: Slope of the LeakyReLU after each addition.
        skip_every: 1 adds the entry features after every convolution, 2 after every second one.

    Note:
        "Connects source layer to every other layer" admits both readings; see docs/paper-notes.md, entry 2.
    """

    def __init__(self, *, depth: int, channels: int, negative_slope: float, skip_every: int) -> None:
        super().__init__(depth=depth, channels=channels, negative_slope=negative_slope)
        self.skip_every = skip_every

    @property
    def shortcuts(self) -> dict[int, int]:
        """Every `skip_every`-th layer gets the entry features."""
        return dict.fromkeys(range(self.skip_every - 1, len(self.convs), self.skip_every), 0)

    def forward(self, entry: Tensor) -> Tensor:
        """Map entry features `(N, C, H, W)` to features of the same shape."""
        features = entry
        for number, conv in enumerate(self.convs, start=1):
            features = conv(features)
            if number % self.skip_every == 0:
                features = features + entry
            features = self.activate(features)
        return features


class InceptionFusion(nn.Module):
    """The inception block that Sec. 2.2.2 tried before it settled on one convolution.

    Parallel 1x1, 3x3, 5x5 and pooled 1x1 branches share the channels evenly; a 1x1 convolution merges them.

    Args:
        channels: Input feature maps, a multiple of 4.
        negative_slope: Slope of the LeakyReLU between the branches and the merging convolution.

    Raises:
        ConfigError: If `channels` is not a multiple of 4.
    """

    radius = 2  # of the widest branch, 5x5

    def __init__(self, *, channels: int, negative_slope: float) -> None:
        super().__init__()
        if channels % 4:
            raise ConfigError(
                f"`channels` must be a multiple of 4 for fusion=inception, which has four branches, got {channels}; "
                f"choose {channels // 4 * 4 + 4}."
            )
        self.negative_slope = negative_slope
        branch = channels // 4
        self.branch_1x1 = nn.Conv2d(channels, branch, 1)
        self.branch_3x3 = nn.Conv2d(channels, branch, 3, padding=1)
        self.branch_5x5 = nn.Conv2d(channels, branch, 5, padding=2)
        self.branch_pool = nn.Conv2d(channels, branch, 1)
        self.merge = nn.Conv2d(channels, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(N, C, H, W)` to a residual image `(N, 1, H, W)`."""
        pooled = F.max_pool2d(features, 3, stride=1, padding=1)
        branches = (
            self.branch_1x1(features),
            self.branch_3x3(features),
            self.branch_5x5(features),
            self.branch_pool(pooled),
        )
        return self.merge(F.leaky_relu(torch.cat(branches, dim=1), self.negative_slope))  # type: ignore[no-any-return]  # nn.Module is untyped


class ConvFusion(nn.Conv2d):
    """The single 3x3 convolution that turns features into the residual image (Sec. 2.2.2).

    Args:
        channels: Input feature maps.
    """

    radius = 1

    def __init__(self, *, channels: int) -> None:
        super().__init__(channels, 1, 3, padding=1)


def bilinear_kernel() -> Tensor:
    """Return the 4x4 kernel with which a stride-2 transposed convolution enlarges bilinearly (LapSRN's start).

    Examples:
        >>> bilinear_kernel()[0]
        tensor([0.0625, 0.1875, 0.1875, 0.0625])
    """
    weights = torch.tensor([0.25, 0.75, 0.75, 0.25])
    return torch.outer(weights, weights)
