"""Scores of images, their means, and the files that hold them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.metrics.protocol import Protocol

PER_IMAGE_COLUMNS = ("dataset", "scale", "image", "psnr_db", "ssim", "seconds")
SUMMARY_COLUMNS = ("dataset", "scale", "psnr_db", "ssim")


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """The scores of one image at one scale.

    Attributes:
        dataset: Name of the set.
        scale: The factor.
        image: Name of the ground-truth image.
        psnr_db: Y-PSNR in dB.
        ssim: Y-SSIM.
        seconds: Time of the method alone; not a number where it was not run here.
        perceptual: Further values by name, see `perceptual`.
    """

    dataset: str
    scale: int
    image: str
    psnr_db: float
    ssim: float
    seconds: float = math.nan
    perceptual: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """Means over the images of one set at one scale."""

    dataset: str
    scale: int
    psnr_db: float
    ssim: float
    num_images: int
    seconds: float = math.nan
    perceptual: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What was scored and how; without it the numbers cannot stand beside others.

    Attributes:
        method: The row's name in tables.
        protocol: The convention.
        source: The weights or the folder of results; None for bicubic.
        parameters: Learned values of the network; 0 for bicubic, None where they are not known.
        self_ensemble: Whether each result is the mean over the eight symmetries.
        bf16: Whether features were computed in bfloat16.
        lr_dir: Folder of the LR images; None if they were made from the ground truth.
        device: Where the network ran.
    """

    method: str
    protocol: Protocol
    source: str | None = None
    parameters: int | None = None
    self_ensemble: bool = False
    bf16: bool = False
    lr_dir: str | None = None
    device: str = "cpu"

    @property
    def caption(self) -> str:
        """The caption of every table of this run."""
        ensemble = ", x8 self-ensemble" if self.self_ensemble else ""
        narrow = ", features in bfloat16" if self.bf16 else ""
        given = f", LR images from {self.lr_dir}" if self.lr_dir else ""
        return f"{self.method}{ensemble}{narrow}; {self.protocol.describe(bicubic=self.method == 'bicubic')}{given}"


def summarise(scores: Iterable[ImageScore]) -> list[SummaryRow]:
    """Average per-image scores over each set and scale, in order of appearance.

    Args:
        scores: Scores of any number of sets and scales.

    Returns:
        One row for each set and scale.
    """
    groups: dict[tuple[str, int], list[ImageScore]] = {}
    for one in scores:
        groups.setdefault((one.dataset, one.scale), []).append(one)
    return [
        SummaryRow(
            dataset=dataset,
            scale=scale,
            psnr_db=_mean([one.psnr_db for one in group]),
            ssim=_mean([one.ssim for one in group]),
            num_images=len(group),
            seconds=_mean([one.seconds for one in group]),
            perceptual={key: _mean([one.perceptual[key] for one in group]) for key in group[0].perceptual},
        )
        for (dataset, scale), group in groups.items()
    ]


def write_results(folder: Path | str, scores: Sequence[ImageScore], info: RunInfo) -> None:
    """Write `per_image.csv`, `summary.csv` and `run.json`, each whole or not at all.

    Where perceptual values were computed, `perceptual.csv` has their means.

    Args:
        folder: Made if missing.
        scores: From `evaluate_network` or `evaluate_folder`.
        info: What was scored and how.

    Raises:
        StorageError: If the folder cannot be written.
    """
    folder, rows = Path(folder), summarise(scores)
    extra = list(scores[0].perceptual) if scores else []
    _write_csv(
        folder / "per_image.csv",
        (*PER_IMAGE_COLUMNS, *extra),
        [
            (
                *_numbers(one.dataset, one.scale, one.image, one.psnr_db, one.ssim),
                _seconds(one.seconds),
                *(f"{one.perceptual[key]:.6f}" for key in extra),
            )
            for one in scores
        ],
    )
    _write_csv(
        folder / "summary.csv",
        SUMMARY_COLUMNS,
        [_numbers(row.dataset, row.scale, row.psnr_db, row.ssim) for row in rows],
    )
    if extra:
        _write_csv(
            folder / "perceptual.csv",
            ("dataset", "scale", *extra),
            [(row.dataset, row.scale, *(f"{row.perceptual[key]:.6f}" for key in extra)) for row in rows],
        )
    content = {**asdict(info), "caption": info.caption, "torch": torch.__version__}
    with atomic_path(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _numbers(*fields: str | float) -> tuple[str, ...]:
    """Write the last two fields with 6 and 7 digits: PSNR and SSIM."""
    *names, psnr_db, ssim = fields
    return (*map(str, names), f"{psnr_db:.6f}", f"{ssim:.7f}")


def _seconds(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
