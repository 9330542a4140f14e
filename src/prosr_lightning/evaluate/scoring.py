"""Score one result of one method."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from prosr_lightning.data.benchmarks import image_name
from prosr_lightning.errors import ConfigError, ImageError, require_call
from prosr_lightning.evaluate.methods import Method, Sample
from prosr_lightning.imaging.color import to_rgb8, ycbcr_to_rgb
from prosr_lightning.imaging.io import write_rgb
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.metrics import perceptual, quantize_8bit
from prosr_lightning.metrics.protocol import Rounding, ScoringProtocol, round_result, score
from prosr_lightning.networks.architecture import import_by_path
from prosr_lightning.runs.scores import COLUMNS, ImageScore


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A value besides PSNR and SSIM.

    Attributes:
        name: Of its column.
        meaning: For captions.
        compute: A function of the result as YCbCr / 255, its rounded luminance, and the sample.
    """

    name: str
    meaning: str
    compute: Callable[[Tensor, Tensor, Sample], Tensor]


def _by_luminance(function: Callable[..., Tensor]) -> Callable[[Tensor, Tensor, Sample], Tensor]:
    return lambda _, luminance, sample: function(luminance, sample.hr[:, :1], border=sample.scale)


def _by_colour(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Sample], Tensor]:
    return lambda sr, _, sample: function(quantize_8bit(ycbcr_to_rgb(sr)), ycbcr_to_rgb(sample.hr))


PERCEPTUAL = {
    name: Measure(name=name, meaning=meaning, compute=compute)
    for name, meaning, compute in (
        ("gmsd", "gradient magnitude similarity deviation, lower is better", _by_luminance(perceptual.gmsd)),
        (
            "high_frequency",
            "energy above half of Nyquist as a share of the original's, 1 is best",
            _by_luminance(perceptual.high_frequency_energy_ratio),
        ),
        ("lpips", "learned perceptual distance, lower is better", _by_colour(perceptual.lpips)),
        ("dists", "structure and texture distance, lower is better", _by_colour(perceptual.dists)),
    )
}


def find_measure(key: str) -> Measure:
    """Return one of ours, or a function of the user's.

    Args:
        key: A name from `PERCEPTUAL`; or the path of a function of (sr, hr), both luminance `(1, 1, H, W)` in float64
            without the border of the tables, which is imported and called by its last part.

    Raises:
        ConfigError: If there is no such measure.
    """
    if key in PERCEPTUAL:
        return PERCEPTUAL[key]
    try:
        function = import_by_path(key)
    except ImportError as error:
        raise ConfigError(
            f"`perceptual` must be from {', '.join(PERCEPTUAL)}, or the path of a function, mypackage.sharpness, got "
            f"{key!r} ({error}); see docs/extending.md."
        ) from error

    require_call("`perceptual`", function, "sr", "hr")

    def compute(_: Tensor, luminance: Tensor, sample: Sample) -> Tensor:
        inner = slice(sample.scale, -sample.scale)
        value = function(luminance[..., inner, inner].clone(), sample.hr[:, :1, inner, inner].clone())
        try:
            return torch.as_tensor(value).reshape(())
        except (RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"`perceptual` must name functions that return one number; {key} does not.") from error

    return Measure(name=key.rpartition(".")[-1], meaning=key, compute=compute)


def find_measures(keys: Sequence[str]) -> list[Measure]:
    """Return what `find_measure` finds for each key.

    Raises:
        ConfigError: As `find_measure`, and if two have one name, or one that of another column.
    """
    measures = [find_measure(key) for key in keys]
    names = [measure.name for measure in measures]
    if len({*names, *COLUMNS}) < len(names) + len(COLUMNS):
        raise ConfigError(
            f"`perceptual` must hold measures of different names, none of them one of {', '.join(COLUMNS)}, got "
            f"{list(keys)}; name each once."
        )
    return measures


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Runs a method on one sample and scores what comes out.

    Attributes:
        method: The method.
        protocol: The convention.
        rounding: The protocol's rounding for this method.
        measures: Wanted besides.
        save_dir: Write the results there; None writes none.
        timed: Whether the time of the method means anything.
    """

    method: Method
    protocol: ScoringProtocol
    rounding: Rounding
    measures: Sequence[Measure] = ()
    save_dir: Path | None = None
    timed: bool = True

    def __call__(self, dataset: str, sample: Sample) -> ImageScore:
        """Score one sample.

        Returns:
            Its scores.

        Raises:
            DataError: If the image cannot be scored; the message names it.
            ConfigError: If the method's result is not finite or has the wrong size.
        """
        name, scale = image_name(sample.path), sample.scale
        sr, seconds = self._run(sample)
        _check_result(sr, sample)
        colour = self.protocol.colour
        if self.save_dir is not None or self.measures or self.rounding == "rgb8" or colour:
            sr = _with_chroma(sr, sample)
        if self.save_dir is not None:
            path = self.save_dir / dataset / f"x{scale}" / f"{name}.png"
            write_rgb(path, to_rgb8(quantize_8bit(ycbcr_to_rgb(sr))))
        luminance = round_result(sr, self.rounding)
        try:
            rounded = round_result(sr, self.rounding, colour=True) if colour else luminance
            truth = ycbcr_to_rgb(sample.hr) if colour else sample.hr[:, :1]
            psnr_db, ssim = score(rounded, truth, scale=scale, protocol=self.protocol)
            extra = {measure.name: measure.compute(sr, luminance, sample).item() for measure in self.measures}
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
