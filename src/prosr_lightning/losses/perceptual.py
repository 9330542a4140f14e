"""Distances of images as a classifier sees them, as losses: VGG54 of SRGAN, LPIPS and DISTS. Not in the paper.

They need torchvision, the extra `perceptual`, which downloads the classifier's weights on first use.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.losses.content import widened

_BLACK, _RANGE = 16 / 255, 219 / 255  # BT.601, studio range
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as the classifiers were trained
_VGG54 = 36  # layers of VGG19 up to the fourth convolution of the fifth block and its activation (SRGAN, Sec. 2.2.1)
_RESCALED = 1 / 12.75  # of the features, SRGAN Sec. 3.2


class PerceptualLoss:
    """Compare luminance as grey pictures by a distance of RGB pictures.

    Its networks belong to no module: they are not trained, saved or counted, and move to where the images are.

    Args:
        distance: Of two RGB pictures `(N, 3, H, W)` in `[0, 1]`; returns a value, or one for each picture. Its
            parameters are frozen.
        weight: What the mean of the values is multiplied by.

    Raises:
        ConfigError: If `weight` is not positive.
    """

    def __init__(self, distance: nn.Module, *, weight: float = 1.0) -> None:
        if not weight > 0:
            raise ConfigError(f"`weight` must be positive, got {weight}; leave model.perceptual null for none.")
        self.distance, self.weight = distance.eval().requires_grad_(False), weight

    def __call__(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Compare results with their originals.

        Args:
            sr: G(x), `(N, 1, H, W)`, Y / 255.
            hr: y, the same shape.

        Returns:
            A scalar in float32 or wider, times `weight`.

        Raises:
            ConfigError: If the shapes differ.
        """
        if sr.shape != hr.shape:
            raise ConfigError(f"`sr` and `hr` must have one shape, got {tuple(sr.shape)} and {tuple(hr.shape)}.")
        distance: Tensor = self.distance.to(sr.device)(_grey(sr), _grey(hr))
        return self.weight * distance.mean()


def vgg54(*, weight: float = 1.0) -> PerceptualLoss:
    """Return the loss of SRGAN-VGG54 (Table 5): the mean squared error of features of VGG19, rescaled by 1/12.75.

    Args:
        weight: See `PerceptualLoss`.

    Raises:
        MissingDependencyError: If torchvision is absent.
    """
    _need_torchvision("VGG54")
    from torchvision.models import VGG19_Weights, vgg19  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra

    return PerceptualLoss(FeatureError(vgg19(weights=VGG19_Weights.DEFAULT).features[:_VGG54]), weight=weight)


def lpips(*, weight: float = 1.0) -> PerceptualLoss:
    """Return the learned perceptual image patch similarity (Zhang et al. 2018, VGG16, which they advise for training).

    Args:
        weight: See `PerceptualLoss`.

    Raises:
        MissingDependencyError: If torchvision is absent.
    """
    _need_torchvision("LPIPS")
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity  # noqa: PLC0415  # needs torchvision

    return PerceptualLoss(_InUnitRange(LearnedPerceptualImagePatchSimilarity(net_type="vgg").net), weight=weight)


def dists(*, weight: float = 1.0) -> PerceptualLoss:
    """Return the deep image structure and texture similarity (Ding et al. 2020, VGG16).

    Args:
        weight: See `PerceptualLoss`.

    Raises:
        MissingDependencyError: If torchvision is absent.
    """
    _need_torchvision("DISTS")
    from torchmetrics.functional.image.dists import DISTSNetwork  # noqa: PLC0415  # needs torchvision

    return PerceptualLoss(_WithGradient(DISTSNetwork()), weight=weight)


class FeatureError(nn.Module):
    """Compare features of normalised RGB pictures by their mean squared error.

    Args:
        features: What makes them.
        scale: What they are multiplied by.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: nn.Module, *, scale: float = _RESCALED) -> None:
        super().__init__()
        self.features, self.scale = features, scale
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(3, 1, 1))

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return a value for each pair of pictures."""
        first, second = (widened(self.features((rgb - self.mean) / self.deviation)) for rgb in (sr, hr))
        return (self.scale * (first - second)).square().flatten(1).mean(dim=1)


class _InUnitRange(nn.Module):
    """LPIPS of pictures in `[0, 1]`, where its network has `[-1, 1]`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        distance: Tensor = self.network(sr, hr, normalize=True)
        return distance


class _WithGradient(nn.Module):
    """DISTS as a loss, whose network computes without a gradient unless asked."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        distance: Tensor = self.network(sr, hr, require_grad=True)
        return distance


def _grey(luminance: Tensor) -> Tensor:
    """Return Y / 255 of the studio range as a grey RGB picture."""
    return ((widened(luminance) - _BLACK) / _RANGE).expand(-1, 3, -1, -1)


def _need_torchvision(name: str) -> None:
    try:
        import torchvision  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401, PLC0415  # an extra
    except ImportError as error:
        raise MissingDependencyError(
            f"{name} needs torchvision, which is not installed; install it with "
            "pip install 'prosr-lightning[perceptual]'."
        ) from error
