"""What turns an LR image into a result: bicubic, a network, another program, finished files. All have one signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.imaging.color import from_rgb8, rgb_to_ycbcr, to_rgb8, ycbcr_to_rgb
from prosr_lightning.imaging.degradation import Bicubic, Degradation
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.io import RGB8, read_rgb
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.metrics import quantize_8bit
from prosr_lightning.metrics.protocol import Rounding
from prosr_lightning.networks import SRNetwork, power_of_two
from prosr_lightning.pictures.recoloring import require_ways
from prosr_lightning.upscale.chain import Chain, require_tile
from prosr_lightning.upscale.engines import TorchEngine


@dataclass(frozen=True)
class Sample:
    """One ground-truth image at one scale. Its LR image is made on first use and lives as long as the sample.

    Attributes:
        path: The ground-truth file.
        scale: The factor.
        hr: YCbCr / 255, `(1, 3, H, W)` float64, cropped to a multiple of `scale`.
        lr_path: The file of a given LR image; None makes it from `hr`.
        degradation: Makes it.
        number: Place of the image in its set, see `Degradation`.
    """

    path: Path
    scale: int
    hr: Tensor
    lr_path: Path | None = None
    degradation: Degradation = field(default_factory=Bicubic)
    number: int = 0

    @cached_property
    def lr(self) -> Tensor:
        """YCbCr / 255, `(1, 3, H / scale, W / scale)` float64, neither rounded nor clamped."""
        if self.lr_path is None:
            return self.degradation.applied(self.hr, self.scale, draw=(self.number,))
        lr = read_ycbcr(self.lr_path)
        height, width = (side // self.scale for side in self.hr.shape[-2:])
        if lr.shape[-2:] != (height, width):
            raise ImageError(
                f"{self.lr_path} must be {width}x{height} pixels for {self.path.name} at {self.scale}x, got "
                f"{lr.shape[-1]}x{lr.shape[-2]}; make it from the ground truth cropped to a multiple of {self.scale}."
            )
        return lr


# Returns YCbCr / 255 of the result, (1, 3, H, W), or its luminance alone, (1, 1, H, W).
Method = Callable[[Sample], Tensor]
# Enlarges RGB, (H, W, 3), by a factor.
Peer = Callable[[RGB8, int], RGB8]


def read_ycbcr(path: Path) -> Tensor:
    """Read a picture as studio-range YCbCr / 255, `(1, 3, H, W)` float64; gray counts as R = G = B."""
    return rgb_to_ycbcr(from_rgb8(read_rgb(path)))


def make_sample(
    path: Path,
    hr: Tensor,
    scale: int,
    *,
    rounding: Rounding,
    lr_path: Path | None = None,
    degradation: Degradation | None = None,
    number: int = 0,
) -> Sample:
    """Crop the ground truth to the scale and, under "y8", round it before the LR image is made from it; see `Sample`.

    Raises:
        ImageError: If the image is smaller than `scale`.
    """
    hr = modcrop(hr, scale)
    hr = quantize_8bit(hr) if rounding == "y8" else hr
    return Sample(path, scale, hr, lr_path, degradation or Bicubic(), number)


def bicubic(sample: Sample) -> Tensor:
    """Enlarge by MATLAB's bicubic: the first row of every table."""
    return bicubic_upscale(sample.lr[:, :1], sample.scale)


class NetworkMethod:
    """Enlarge as `prosr-upscale` does, in full precision, each scale from its own LR image.

    A scale between two powers of two is had from the larger one, shrunk by bicubic.

    Args:
        network: It is copied, not changed.
        device: See `upscale.engines.choose_device`.
        self_ensemble: See `upscale.chain.Chain`.
        bf16: Compute the features in bfloat16, see `upscale.engines.TorchEngine`.
        tile: See `upscale.chain.Chain`.
        chroma: See `pictures.recoloring.Recoloring`.
    """

    def __init__(
        self,
        *,
        network: SRNetwork,
        device: str | torch.device,
        self_ensemble: bool,
        bf16: bool,
        tile: int | str,
        chroma: str = "bicubic",
    ) -> None:
        require_tile(tile)
        require_ways(chroma=chroma)
        precision = "bfloat16" if bf16 else "float32"
        self.engine = TorchEngine(network, device=device, precision=precision)
        self.self_ensemble, self.tile, self.chroma = self_ensemble, tile, chroma

    @torch.inference_mode()
    def __call__(self, sample: Sample) -> Tensor:
        """Return the luminance of the result, `(1, 1, H, W)` float64 on the CPU; with chroma="network" all YCbCr."""
        scale, size = power_of_two(sample.scale), (sample.hr.shape[-2], sample.hr.shape[-1])
        chain = Chain(self.engine, scale=scale, size=size, tile=self.tile, self_ensemble=self.self_ensemble)
        planes = sample.lr.transpose(0, 1) if self.chroma == "network" else sample.lr[:, :1]
        return chain.image(planes.float()).double().transpose(0, 1)


class PeerMethod:
    """Let another program enlarge the LR image, rounded to 8-bit RGB, see `evaluate.peers`."""

    def __init__(self, *, peer: Peer) -> None:
        self.peer = peer

    def __call__(self, sample: Sample) -> Tensor:
        """Return what it gives as YCbCr / 255.

        Raises:
            ConfigError: If that is not 8-bit RGB.
        """
        sr = self.peer(to_rgb8(ycbcr_to_rgb(sample.lr)), sample.scale)
        if sr.dtype != np.uint8 or sr.ndim != 3 or sr.shape[-1] != 3:
            raise ConfigError(f"`peer` must give 8-bit RGB, (H, W, 3), got {sr.dtype} {sr.shape}; convert it.")
        return rgb_to_ycbcr(from_rgb8(sr))


class FolderMethod:
    """Read finished results."""

    def __init__(self, *, files: Mapping[tuple[Path, int], Path]) -> None:
        self.files = files

    def __call__(self, sample: Sample) -> Tensor:
        """Return the picture as YCbCr / 255.

        Raises:
            ImageError: If it cannot be read or does not have the size of the cropped ground truth.
        """
        path = self.files[sample.path, sample.scale]
        sr = read_ycbcr(path)
        if sr.shape != sample.hr.shape:
            height, width = sample.hr.shape[-2:]
            raise ImageError(
                f"{path} must be {width}x{height} pixels (the ground truth cropped to a multiple of {sample.scale}), "
                f"got {sr.shape[-1]}x{sr.shape[-2]}; enlarge the LR image of the protocol."
            )
        return sr
