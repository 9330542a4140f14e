"""PSNR and SSIM of luminance by the convention of the benchmark tables, every piece of it an explicit argument.

The functions take planes Y / 255 in `[0, 1]`, compute in float64 and return one value per image; tables average those
values (never the squared error of all images together). `metrics.protocol.ScoringProtocol` names a whole convention.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.imaging.geometry import shave

SSIMKind = Literal["skimage", "wang", "matlab"]

_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, and the default of every implementation since
SSIM_WINDOW = 7  # of the kind "skimage", scikit-image's default
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


def psnr(sr: Tensor, hr: Tensor, *, border: int, quantize: bool = False) -> Tensor:
    """Return the peak signal-to-noise ratio of each image, 10 log10(1 / mean((sr - hr)^2)).

    Args:
        sr: `(N, 1, H, W)`, the result's Y / 255, which may leave `[0, 1]`; or RGB, `(N, 3, H, W)`.
        hr: The truth's, of the same shape.
        border: Pixels left out on every side; the tables leave out `scale`.
        quantize: Round both planes to 8 bits first.

    Returns:
        `(N,)` float64, dB; infinite where the planes are equal.

    Raises:
        ConfigError: If shapes or dtypes do not fit.
        ImageError: If the border leaves nothing.

    Examples:
        >>> psnr(torch.full((1, 1, 4, 4), 0.1), torch.zeros(1, 1, 4, 4), border=1).item()  # doctest: +ELLIPSIS
        19.99999...
    """
    sr, hr = luminance_planes(sr, hr, border=border, quantize=quantize)
    error = (sr - hr).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error)  # the peak, 1.0, is 255 on the 16..235 luminance, as the tables have it


def ssim(sr: Tensor, hr: Tensor, *, border: int, kind: SSIMKind, quantize: bool = False) -> Tensor:
    """Return the structural similarity of each image (Wang et al. 2004), mean over the window positions.

    Args:
        sr: `(N, 1, H, W)`, the result's Y / 255; or RGB, `(N, 3, H, W)`, of which the mean over the channels is taken.
        hr: The truth's, of the same shape.
        border: Pixels left out on every side before anything else.
        kind: "skimage" is scikit-image's default (7x7 uniform window, sample covariance) with the dynamic range
            max(sr) - min(hr) of each image: the tables of the paper. "wang" is the original (11x11 Gaussian, sigma 1.5,
            only windows wholly inside). "matlab" is the built-in of MATLAB (the same Gaussian, edges replicated).
        quantize: Round both planes to 8 bits first.

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
    sr, hr = luminance_planes(sr, hr, border=border, quantize=quantize)
    if kind == "skimage":
        dynamic = (sr.amax(dim=(1, 2, 3)) - hr.amin(dim=(1, 2, 3))).clamp(min=_GRAY_LEVEL)
    else:
        dynamic = torch.ones(len(sr), dtype=sr.dtype, device=sr.device)
    window = SSIM_WINDOW if kind == "skimage" else _GAUSSIAN_WINDOW
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
        means = F.avg_pool2d(stacked, SSIM_WINDOW, stride=1)
        sample = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)  # 49/48: unbiased (co)variances
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


def luminance_planes(sr: Tensor, hr: Tensor, *, border: int, quantize: bool = False) -> tuple[Tensor, Tensor]:
    """Return what is compared, in float64 and without its border.

    Args:
        sr: Result, `(N, 1, H, W)` luminance Y / 255 or `(N, 3, H, W)` RGB, floating point.
        hr: Truth, the same shape.
        border: Pixels left out on every side.
        quantize: Round both to 8 bits.

    Raises:
        ConfigError: If they are no such planes.
    """
    if sr.shape != hr.shape or sr.ndim != 4 or sr.shape[1] not in (1, 3):
        raise ConfigError(
            f"`sr` and `hr` must be luminance planes of one shape (N, 1, H, W), or RGB, got {tuple(sr.shape)} and "
            f"{tuple(hr.shape)}; convert with rgb_to_luminance and crop with modcrop."
        )
    if not (sr.is_floating_point() and hr.is_floating_point()):
        raise ConfigError(f"`sr` and `hr` must be Y / 255 in [0, 1], got {sr.dtype} and {hr.dtype}; divide by 255.")
    sr, hr = (plane.cpu() if plane.device.type == "mps" else plane for plane in (sr, hr))  # it has no float64
    sr, hr = shave(sr.double(), border), shave(hr.double(), border)
    return (quantize_8bit(sr), quantize_8bit(hr)) if quantize else (sr, hr)
