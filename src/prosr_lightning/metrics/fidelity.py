"""PSNR and SSIM of luminance by the convention of the benchmark tables, every piece of it an explicit argument.

The functions take planes Y / 255 in `[0, 1]`, compute in float64 and return one value per image; tables average those
values (never the squared error of all images together). `evaluation.Protocol` names a whole convention.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.imaging.geometry import shave

SSIMKind = Literal["skimage", "wang", "matlab"]

_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, and the default of every implementation since
_UNIFORM_WINDOW = 7  # scikit-image's default
_GAUSSIAN_WINDOW, _GAUSSIAN_SIGMA = 11, 1.5  # Wang et al. 2004
_GRAY_LEVEL = 1 / 255


def quantize_8bit(image: Tensor) -> Tensor:
    """Round to the 256 levels of an 8-bit image as MATLAB's `im2uint8` does (halves up, clipped).

    Args:
        image: Any shape, floating point, `[0, 1]` or somewhat beyond.

    Returns:
        The same shape and dtype; whole multiples of 1/255 in `[0, 1]`.
    """
    return image.mul(255).add(0.5).floor().clamp(0, 255).div(255)


def psnr(sr: Tensor, hr: Tensor, *, border: int, quantize: bool = False, data_range: float = 1.0) -> Tensor:
    """Return the peak signal-to-noise ratio of each image, 10 log10(data_range^2 / mean((sr - hr)^2)).

    Args:
        sr: `(N, 1, H, W)`, the result's Y / 255; may leave `[0, 1]`.
        hr: `(N, 1, H, W)`, the truth's Y / 255.
        border: Pixels left out on every side; the tables leave out `scale`.
        quantize: Round both planes to 8 bits first.
        data_range: The peak; 1.0 is 255 on the 16..235 luminance, as the tables have it.

    Returns:
        `(N,)` float64, dB; infinite where the planes are equal.

    Raises:
        ConfigError: If shapes or dtypes do not fit.
        ImageError: If the border leaves nothing.

    Example:
        >>> psnr(torch.full((1, 1, 4, 4), 0.1), torch.zeros(1, 1, 4, 4), border=1).item()  # doctest: +ELLIPSIS
        19.99999...
    """
    sr, hr = _planes(sr, hr, border=border, quantize=quantize)
    error = (sr - hr).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(data_range**2 / error)


def ssim(
    sr: Tensor,
    hr: Tensor,
    *,
    border: int,
    kind: SSIMKind,
    quantize: bool = False,
    data_range: float | None = None,
) -> Tensor:
    """Return the structural similarity of each image (Wang et al. 2004), mean over the window positions.

    Args:
        sr: `(N, 1, H, W)`, the result's Y / 255.
        hr: `(N, 1, H, W)`, the truth's Y / 255.
        border: Pixels left out on every side before anything else.
        kind: "skimage" is scikit-image's default (7x7 uniform window, sample covariance) with the dynamic range
            max(sr) - min(hr) of each image: the tables of the paper. "wang" is the original (11x11 Gaussian, sigma 1.5,
            only windows wholly inside). "matlab" is the built-in of MATLAB (the same Gaussian, edges replicated).
        quantize: Round both planes to 8 bits first.
        data_range: Replaces the dynamic range; None takes the kind's own (1.0 for "wang" and "matlab").

    Returns:
        `(N,)` float64, at most 1.

    Raises:
        ConfigError: If shapes, dtypes or the kind do not fit.
        ImageError: If the border leaves less than one window.

    Note:
        max(sr) - min(hr) can vanish on flat images; it is kept at one gray level (1/255) or more.
    """
    if kind not in get_args(SSIMKind):
        raise ConfigError(f"`kind` must be one of {', '.join(get_args(SSIMKind))}, got {kind!r}.")
    sr, hr = _planes(sr, hr, border=border, quantize=quantize)
    if data_range is not None:
        dynamic = torch.full((len(sr),), data_range, dtype=sr.dtype, device=sr.device)
    elif kind == "skimage":
        dynamic = (sr.amax(dim=(1, 2, 3)) - hr.amin(dim=(1, 2, 3))).clamp(min=_GRAY_LEVEL)
    else:
        dynamic = torch.ones(len(sr), dtype=sr.dtype, device=sr.device)
    window = _UNIFORM_WINDOW if kind == "skimage" else _GAUSSIAN_WINDOW
    if kind == "matlab":
        sr, hr = (F.pad(plane, [window // 2] * 4, mode="replicate") for plane in (sr, hr))
    if min(sr.shape[-2:]) < window:
        raise ImageError(
            f"SSIM needs {window}x{window} pixels after the border is removed, got {sr.shape[-1]}x{sr.shape[-2]}; "
            "leave the image out or choose a smaller scale."
        )
    return _ssim_map(sr, hr, dynamic[:, None, None, None], kind).mean(dim=(1, 2, 3))


def _ssim_map(sr: Tensor, hr: Tensor, dynamic: Tensor, kind: SSIMKind) -> Tensor:
    """Return the index at every window that lies inside the planes."""
    stacked = torch.cat([sr, hr, sr * sr, hr * hr, sr * hr], dim=1)
    if kind == "skimage":
        means = F.avg_pool2d(stacked, _UNIFORM_WINDOW, stride=1)
        sample = _UNIFORM_WINDOW**2 / (_UNIFORM_WINDOW**2 - 1)  # 49/48: unbiased (co)variances
    else:
        means, sample = _gaussian_blur(stacked), 1.0
    mean_sr, mean_hr, square_sr, square_hr, product = means.chunk(5, dim=1)
    variances = sample * (square_sr - mean_sr**2 + square_hr - mean_hr**2)
    covariance = sample * (product - mean_sr * mean_hr)
    c1, c2 = (_K1 * dynamic) ** 2, (_K2 * dynamic) ** 2
    luminance: Tensor = (2 * mean_sr * mean_hr + c1) / (mean_sr**2 + mean_hr**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _gaussian_blur(planes: Tensor) -> Tensor:
    offset = torch.arange(_GAUSSIAN_WINDOW, dtype=planes.dtype, device=planes.device) - _GAUSSIAN_WINDOW // 2
    line = torch.exp(-(offset**2) / (2 * _GAUSSIAN_SIGMA**2))
    line = (line / line.sum()).repeat(planes.shape[1], 1, 1, 1)
    rows = F.conv2d(planes, line, groups=planes.shape[1])
    return F.conv2d(rows, line.transpose(-1, -2), groups=planes.shape[1])


class _PerImageMean(Metric):
    """Mean of per-image values. With `num_images`, an image that a distributed sampler repeats still counts once."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    total: Tensor
    count: Tensor

    def __init__(self, *, num_images: int | None = None) -> None:
        super().__init__()
        self.num_images = num_images
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64  # Apple's GPUs have no float64
        zeros = torch.zeros(1 if num_images is None else num_images, dtype=dtype)
        self.add_state("total", default=zeros, dist_reduce_fx="sum")
        self.add_state("count", default=zeros.clone(), dist_reduce_fx="sum")

    def _add(self, values: Tensor, index: Tensor | None) -> None:
        if (index is None) != (self.num_images is None):
            raise ConfigError("`index` must be given if, and only if, the metric was made with `num_images`.")
        if index is None:
            index = torch.zeros(len(values), dtype=torch.long)
        index = index.to(self.total.device)
        self.total.index_add_(0, index, values.to(self.total.device, self.total.dtype))
        self.count.index_add_(0, index, torch.ones_like(self.total[index]))

    def compute(self) -> Tensor:
        """Return the mean over the images seen; not a number when there were none."""
        if self.num_images is None:
            return (self.total / self.count).squeeze(0)
        seen = self.count > 0
        return (self.total[seen] / self.count[seen]).mean()


class LuminancePSNR(_PerImageMean):
    """Mean of per-image `psnr`, for validation.

    Args:
        border: See `psnr`.
        quantize: See `psnr`.
        num_images: Size of the data set. With it `update` needs each image's index and counts none twice, although
            distributed samplers repeat images to fill the last batch.
    """

    def __init__(self, *, border: int, quantize: bool = False, num_images: int | None = None) -> None:
        super().__init__(num_images=num_images)
        self.border, self.quantize = border, quantize

    def update(self, sr: Tensor, hr: Tensor, index: Tensor | None = None) -> None:
        """Add a batch: planes `(N, 1, H, W)` and, with `num_images`, their indices `(N,)`."""
        self._add(psnr(sr, hr, border=self.border, quantize=self.quantize), index)


class LuminanceSSIM(_PerImageMean):
    """Mean of per-image `ssim`, for validation.

    Args:
        border: See `ssim`.
        kind: See `ssim`.
        quantize: See `ssim`.
        num_images: As for `LuminancePSNR`.
    """

    def __init__(self, *, border: int, kind: SSIMKind, quantize: bool = False, num_images: int | None = None) -> None:
        super().__init__(num_images=num_images)
        self.border, self.kind, self.quantize = border, kind, quantize

    def update(self, sr: Tensor, hr: Tensor, index: Tensor | None = None) -> None:
        """Add a batch: planes `(N, 1, H, W)` and, with `num_images`, their indices `(N,)`."""
        self._add(ssim(sr, hr, border=self.border, kind=self.kind, quantize=self.quantize), index)


def _planes(sr: Tensor, hr: Tensor, *, border: int, quantize: bool) -> tuple[Tensor, Tensor]:
    if sr.shape != hr.shape or sr.ndim != 4 or sr.shape[1] != 1:
        raise ConfigError(
            f"`sr` and `hr` must be luminance planes of one shape (N, 1, H, W), got {tuple(sr.shape)} and "
            f"{tuple(hr.shape)}; convert with rgb_to_luminance and crop with modcrop."
        )
    if not (sr.is_floating_point() and hr.is_floating_point()):
        raise ConfigError(f"`sr` and `hr` must be Y / 255 in [0, 1], got {sr.dtype} and {hr.dtype}; divide by 255.")
    sr, hr = (plane.cpu() if plane.device.type == "mps" else plane for plane in (sr, hr))  # it has no float64
    sr, hr = shave(sr.double(), border), shave(hr.double(), border)
    return (quantize_8bit(sr), quantize_8bit(hr)) if quantize else (sr, hr)
