"""Which checkpoint of a GAN is the best: the one with the detail of the originals, as long as PSNR bears it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from prosr_lightning.metrics import psnr
from prosr_lightning.metrics.perceptual import gmsd, high_frequency_energy_ratio

_GUARD = 10.0  # for each dB below bicubic: more than any gain in detail is worth
_SMALLEST_RATIO = 1e-6


class DetailCriterion(nn.Module):
    """Score validation images by how near their fine detail is to the originals'.

    `val/score = -(detail distance + relative GMSD) - 10 max(0, -psnr_over_bicubic)`; higher is better, 0 is perfect.

    - detail distance: |log2 ratio| of the energies of result and original above half of Nyquist; 0 where they are
      equal, 1 where the result has half or twice as much. PSNR alone would choose the blurred start of every GAN run.
    - relative GMSD: gradient magnitude similarity deviation, bicubic's being 1. Detail in the wrong places raises it,
      so that noise does not pass for texture.
    - the guard: a result below bicubic's PSNR is none (Table 5 has ProSRGAN above bicubic on Set5 and Set14).

    Each is a mean over images and scales. Logged: `val/score`, `val/psnr_over_bicubic` (dB), `val/high_frequency` (the
    ratio itself, 1 being the originals'), `val/gmsd`.
    """

    def __init__(self) -> None:
        super().__init__()
        names = ("psnr_over_bicubic", "high_frequency", "gmsd", "detail_distance", "relative_gmsd")
        self.means = nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in names})

    @torch.no_grad()
    def update(self, sr: Tensor, bicubic: Tensor, hr: Tensor, *, border: int) -> None:
        """Take in one image.

        Args:
            sr: The result, `(1, 1, H, W)`.
            bicubic: The bicubic enlargement of the same LR image.
            hr: The original.
            border: Pixels left out on every side.
        """
        ratio = high_frequency_energy_ratio(sr, hr, border=border)
        deviation = gmsd(sr, hr, border=border)
        self._mean("psnr_over_bicubic").update(psnr(sr, hr, border=border) - psnr(bicubic, hr, border=border))
        self._mean("high_frequency").update(ratio)
        self._mean("gmsd").update(deviation)
        self._mean("detail_distance").update(ratio.clamp(min=_SMALLEST_RATIO).log2().abs())
        self._mean("relative_gmsd").update(deviation / gmsd(bicubic, hr, border=border))

    def compute(self) -> dict[str, Tensor]:
        """Return what is logged over all devices, without the prefix `val/`, and begin anew."""
        means = {name: cast(MeanMetric, metric).compute() for name, metric in self.means.items()}
        for metric in self.means.values():
            cast(MeanMetric, metric).reset()
        distance = means.pop("detail_distance") + means.pop("relative_gmsd")
        guard = _GUARD * (-means["psnr_over_bicubic"]).clamp(min=0)
        return {"score": -distance - guard, **means}

    def _mean(self, name: str) -> MeanMetric:
        return cast(MeanMetric, self.means[name])
