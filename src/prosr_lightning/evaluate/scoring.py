"""Score one result of one method."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from prosr_lightning.data.benchmarks import image_name
from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.evaluate.methods import Method, Sample
from prosr_lightning.imaging.color import ycbcr_to_rgb
from prosr_lightning.imaging.io import write_rgb
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.metrics import perceptual, quantize_8bit
from prosr_lightning.metrics.protocol import Protocol, Rounding, round_result, score
from prosr_lightning.runs.scores import ImageScore

PERCEPTUAL = {
    "gmsd": "gradient magnitude similarity deviation, lower is better",
    "high_frequency": "energy above half of Nyquist as a share of the original's, 1 is best",
    "lpips": "learned perceptual distance, lower is better",
    "dists": "structure and texture distance, lower is better",
}


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Runs a method on one sample and scores what comes out.

    Attributes:
        method: The method.
        protocol: The convention.
        rounding: The protocol's rounding for this method.
        measures: Names from `PERCEPTUAL` wanted besides.
        save_dir: Write the results there; None writes none.
        timed: Whether the time of the method means anything.
    """

    method: Method
    protocol: Protocol
    rounding: Rounding
    measures: Sequence[str] = ()
    save_dir: Path | None = None
    timed: bool = True

    def __call__(self, dataset: str, sample: Sample) -> ImageScore:
        """Score one sample.

        Args:
            dataset: Name of the set.
            sample: The image.

        Returns:
            Its scores.

        Raises:
            DataError: If the image cannot be scored; the message names it.
            ConfigError: If the method's result is not finite or has the wrong size.
        """
        name, scale = image_name(sample.path), sample.scale
        sr, seconds = self._run(sample)
        _check_result(sr, sample)
        if self.save_dir is not None or self.measures or self.rounding == "rgb8":
            sr = _with_chroma(sr, sample)
        if self.save_dir is not None:
            rgb = quantize_8bit(ycbcr_to_rgb(sr))[0].permute(1, 2, 0)
            path = self.save_dir / dataset / f"x{scale}" / f"{name}.png"
            write_rgb(path, rgb.mul(255).round().to(torch.uint8).numpy())
        luminance = round_result(sr, self.rounding)
        try:
            psnr_db, ssim = score(luminance, sample.hr[:, :1], scale=scale, protocol=self.protocol)
            extra = {key: _measure(key, sr, luminance, sample) for key in self.measures}
        except ImageError as error:
            raise ImageError(f"{sample.path} cannot be scored at {scale}x: {error}") from error
        return ImageScore(
            dataset=dataset, scale=scale, image=name, psnr_db=psnr_db, ssim=ssim, seconds=seconds, perceptual=extra
        )

    def _run(self, sample: Sample) -> tuple[Tensor, float]:
        if not self.timed:
            return self.method(sample), math.nan
        _ = sample.lr  # made before the clock starts
        start = time.perf_counter()
        sr = self.method(sample)
        return sr, time.perf_counter() - start


def _check_result(sr: Tensor, sample: Sample) -> None:
    where = f"The result for {sample.path.name} at {sample.scale}x"
    if sr.shape[-2:] != sample.hr.shape[-2:]:
        raise ConfigError(
            f"{where} must have {tuple(sample.hr.shape[-2:])} rows and columns, got {tuple(sr.shape[-2:])}; "
            "the network does not enlarge by its `scale`."
        )
    if not bool(sr.isfinite().all()):
        raise ConfigError(f"{where} must be finite, got NaN or infinity; check the weights.")


def _with_chroma(sr: Tensor, sample: Sample) -> Tensor:
    """Add Cb and Cr by bicubic to a result that is luminance alone."""
    if sr.shape[1] == 3:
        return sr
    return torch.cat([sr, bicubic_upscale(sample.lr[:, 1:], sample.scale)], dim=1)


def _measure(key: str, sr: Tensor, luminance: Tensor, sample: Sample) -> float:
    truth = sample.hr[:, :1]
    if key == "gmsd":
        return perceptual.gmsd(luminance, truth, border=sample.scale).item()
    if key == "high_frequency":
        return perceptual.high_frequency_energy_ratio(luminance, truth, border=sample.scale).item()
    learned = perceptual.lpips if key == "lpips" else perceptual.dists
    return learned(quantize_8bit(ycbcr_to_rgb(sr)), ycbcr_to_rgb(sample.hr)).item()
