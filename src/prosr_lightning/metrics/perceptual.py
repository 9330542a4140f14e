"""How real and how sharp a result looks, for the GAN: PSNR rewards blur, these do not.

`gmsd` and `high_frequency_energy_ratio` need no learned weights. `lpips` and `dists` judge by the features of a
classifier and need torchvision, an optional extra, which downloads that classifier's weights on first use.
"""

from __future__ import annotations

import importlib.util

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr_lightning.errors import ConfigError, ImageError, MissingDependencyError
from prosr_lightning.metrics.fidelity import luminance_planes

_GMSD_C = 170.0  # Xue et al. 2014, for luminance in 0..255
_HIGH_FREQUENCY = 0.25  # cycles per pixel: half of Nyquist, beyond what any image enlarged by 2 or more has from its LR
_SMALLEST_SIDE = 8  # two Prewitt windows after the halving of GMSD


def gmsd(sr: Tensor, hr: Tensor, *, border: int = 0) -> Tensor:
    """Return the gradient magnitude similarity deviation (Xue et al. 2014) of each image.

    Both planes are halved by 2x2 means; m is the magnitude of the Prewitt gradient; the result is the standard
    deviation over the image of (2 m_sr m_hr + c) / (m_sr^2 + m_hr^2 + c), c = 170, as in the authors' code.

    Args:
        sr: `(N, 1, H, W)`, the result's Y / 255.
        hr: `(N, 1, H, W)`, the truth's.
        border: Pixels left out on every side first.

    Returns:
        `(N,)` float64, 0 for equal images; lower is better.

    Raises:
        ConfigError: If the shapes do not fit.
        ImageError: If less than 8x8 pixels are left.
    """
    sr, hr = _planes(sr, hr, border)
    magnitude_sr, magnitude_hr = _gradient_magnitude(sr), _gradient_magnitude(hr)
    similarity = (2 * magnitude_sr * magnitude_hr + _GMSD_C) / (magnitude_sr**2 + magnitude_hr**2 + _GMSD_C)
    return similarity.flatten(1).std(dim=1)  # std2 of MATLAB: divided by n - 1


def high_frequency_energy_ratio(sr: Tensor, hr: Tensor, *, border: int = 0, cutoff: float = _HIGH_FREQUENCY) -> Tensor:
    """Return how much of the truth's fine detail the result has: the ratio of their energies above `cutoff`.

    Args:
        sr: `(N, 1, H, W)`, the result's Y / 255.
        hr: `(N, 1, H, W)`, the truth's.
        border: Pixels left out on every side first.
        cutoff: Radial frequency in cycles per pixel, above 0 and below 0.5.

    Returns:
        `(N,)` float64. Near 1: as much detail as the truth, though not necessarily the same; below: blurred; above:
        noisy or over-sharpened. Not a number where truth and result have none.

    Raises:
        ConfigError: If the shapes do not fit or `cutoff` is out of range.
        ImageError: If less than 8x8 pixels are left.
    """
    if not 0 < cutoff < 0.5:
        raise ConfigError(
            f"`cutoff` must lie between 0 and 0.5 cycles per pixel, got {cutoff}; 0.25 is half of Nyquist."
        )
    sr, hr = _planes(sr, hr, border)
    return _energy_above(sr, cutoff) / _energy_above(hr, cutoff)


def lpips(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the learned perceptual image patch similarity (Zhang et al. 2018, AlexNet) of each image.

    Args:
        sr: `(N, 3, H, W)`, R'G'B' in `[0, 1]`.
        hr: `(N, 3, H, W)`.

    Returns:
        `(N,)`; lower is better.

    Raises:
        MissingDependencyError: If torchvision is absent.
    """
    require_measure("lpips")
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as score  # noqa: PLC0415

    pairs = zip(sr.float().clamp(0, 1).split(1), hr.float().clamp(0, 1).split(1), strict=True)  # type: ignore[no-untyped-call]  # torch
    return torch.stack([score(result, other, net_type="alex", normalize=True) for result, other in pairs])


def dists(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the deep image structure and texture similarity (Ding et al. 2020, VGG) of each image.

    Args:
        sr: `(N, 3, H, W)`, R'G'B' in `[0, 1]`.
        hr: `(N, 3, H, W)`.

    Returns:
        `(N,)`; lower is better.

    Raises:
        MissingDependencyError: If torchvision is absent.
    """
    require_measure("dists")
    from torchmetrics.functional.image.dists import (  # noqa: PLC0415
        deep_image_structure_and_texture_similarity as score,
    )

    return score(sr.float().clamp(0, 1), hr.float().clamp(0, 1), reduction="none")


def _gradient_magnitude(plane: Tensor) -> Tensor:
    plane = plane * 255
    height, width = plane.shape[-2:]
    halved = F.avg_pool2d(F.pad(plane, (0, width % 2, 0, height % 2)), 2)
    prewitt = torch.tensor([[1.0, 0.0, -1.0]] * 3, dtype=plane.dtype, device=plane.device) / 3
    gradient: Tensor = F.conv2d(halved, torch.stack([prewitt, prewitt.T])[:, None], padding=1)
    return gradient.square().sum(dim=1).sqrt()


def _energy_above(plane: Tensor, cutoff: float) -> Tensor:
    height, width = plane.shape[-2:]
    rows = torch.hann_window(height, dtype=plane.dtype, device=plane.device)
    columns = torch.hann_window(width, dtype=plane.dtype, device=plane.device)
    windowed = (plane - plane.mean(dim=(-2, -1), keepdim=True)) * rows[:, None] * columns
    power = torch.fft.fft2(windowed).abs().square()
    vertical = torch.fft.fftfreq(height, dtype=plane.dtype, device=plane.device)
    horizontal = torch.fft.fftfreq(width, dtype=plane.dtype, device=plane.device)
    high = torch.hypot(*torch.meshgrid(vertical, horizontal, indexing="ij")) > cutoff
    energy: Tensor = (power * high).sum(dim=(1, 2, 3))
    return energy


def _planes(sr: Tensor, hr: Tensor, border: int) -> tuple[Tensor, Tensor]:
    sr, hr = luminance_planes(sr, hr, border=border)
    if min(sr.shape[-2:]) < _SMALLEST_SIDE:
        raise ImageError(f"At least 8x8 pixels must be left after the border, got {sr.shape[-1]}x{sr.shape[-2]}.")
    return sr, hr


def require_measure(name: str) -> None:
    """Make sure that what a measure needs is installed.

    Args:
        name: "lpips" and "dists" need torchvision; any other needs nothing.

    Raises:
        MissingDependencyError: If it is absent.
    """
    if name in ("lpips", "dists") and importlib.util.find_spec("torchvision") is None:
        raise MissingDependencyError(
            f"{name.upper()} needs torchvision, which is not installed; install it with "
            "pip install 'prosr-lightning[perceptual]', or use gmsd and high_frequency, which need nothing."
        )
