"""Scores of images, their means, and the files that hold them: written by `evaluate` and `train`, read by reports."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import torch

from prosr_lightning.errors import DataError
from prosr_lightning.imaging.degradation import BICUBIC
from prosr_lightning.imaging.io import write_file, write_json
from prosr_lightning.metrics.protocol import ScoringProtocol
from prosr_lightning.tables import csv_text

PER_IMAGE = "per_image.csv"
SUMMARY = "summary.csv"
INFO = "run.json"
COLUMNS = ("dataset", "scale", "image", "psnr_db", "ssim", "seconds")  # of each image, before perceptual values
_T = TypeVar("_T")


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
    """Means over the images of one set at one scale; `num_images` is 0 where their own scores are not at hand."""

    dataset: str
    scale: int
    psnr_db: float
    ssim: float
    num_images: int = 0
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
        multiply_adds: Of one enlargement, for one pixel of the result, by scale; see `networks.complexity`.
        self_ensemble: Whether each result is the mean over the eight symmetries.
        bf16: Whether features were computed in bfloat16.
        chroma: "network" where Cb and Cr went through the network too.
        lr_dir: Folder of the LR images; None if they were made from the ground truth.
        degradation: Name of what made them from it.
        device: Where the network ran.
    """

    method: str
    protocol: ScoringProtocol
    source: str | None = None
    parameters: int | None = None
    multiply_adds: Mapping[int, float] = field(default_factory=dict)
    self_ensemble: bool = False
    bf16: bool = False
    chroma: str = "bicubic"
    lr_dir: str | None = None
    degradation: str = BICUBIC
    device: str = "cpu"

    @property
    def caption(self) -> str:
        """The caption of every table of this run."""
        ensemble = ", x8 self-ensemble" if self.self_ensemble else ""
        narrow = ", features in bfloat16" if self.bf16 else ""
        narrow += "" if self.chroma == "bicubic" else f", chroma by {self.chroma}"
        lr = self.lr_images and f", {self.lr_images}"
        return f"{self.method}{ensemble}{narrow}; {self.protocol.describe(bicubic=self.method == 'bicubic')}{lr}"

    @property
    def lr_images(self) -> str:
        """What a caption says of the LR images; nothing where they are those of all tables, bicubic."""
        if self.lr_dir:
            return f"LR images from {self.lr_dir}"
        return "" if self.degradation == BICUBIC else f"LR images by {self.degradation}"


def summarise(scores: Iterable[ImageScore]) -> list[SummaryRow]:
    """Average per-image scores over each set and scale, in order of appearance.

    Returns:
        One row for each set and scale.
    """
    groups: dict[tuple[str, int], list[ImageScore]] = {}
    for score in scores:
        groups.setdefault((score.dataset, score.scale), []).append(score)
    return [
        SummaryRow(
            dataset=dataset,
            scale=scale,
            psnr_db=fmean(score.psnr_db for score in group),
            ssim=fmean(score.ssim for score in group),
            num_images=len(group),
            seconds=fmean(score.seconds for score in group),
            perceptual={key: fmean(score.perceptual[key] for score in group) for key in group[0].perceptual},
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
    files = {PER_IMAGE: [_record(score) for score in scores], SUMMARY: [_record(row) for row in summarise(scores)]}
    if scores and scores[0].perceptual:
        files["perceptual.csv"] = [_place(row) | _perceptual(row) for row in summarise(scores)]
    for name, records in files.items():
        write_file(Path(folder) / name, csv_text(records))
    write_json(Path(folder) / INFO, {**asdict(info), "caption": info.caption, "torch": torch.__version__})


def _record(score: ImageScore | SummaryRow) -> dict[str, str]:
    """Return the fields of a line of a file, PSNR and SSIM with 6 and 7 digits."""
    values = {"psnr_db": f"{score.psnr_db:.6f}", "ssim": f"{score.ssim:.7f}"}
    if isinstance(score, SummaryRow):
        return _place(score) | values
    seconds = "" if math.isnan(score.seconds) else f"{score.seconds:.4f}"
    return _place(score) | {"image": score.image, **values, "seconds": seconds} | _perceptual(score)


def _place(score: ImageScore | SummaryRow) -> dict[str, str]:
    return {"dataset": score.dataset, "scale": str(score.scale)}


def _perceptual(score: ImageScore | SummaryRow) -> dict[str, str]:
    return {name: f"{value:.6f}" for name, value in score.perceptual.items()}


def read_summary(folder: Path) -> list[SummaryRow]:
    """Return the means of `summary.csv`, without what only single images have.

    Raises:
        DataError: If it is missing, empty or cannot be read.
    """
    means = _read_csv(folder / SUMMARY, lambda row: SummaryRow(**_score(row)))
    if not means:
        raise DataError(f"{folder / SUMMARY} must hold at least one score, found none; score the run again.")
    return means


def read_images(folder: Path) -> list[ImageScore]:
    """Return the scores of each image; nothing without `per_image.csv`.

    Raises:
        DataError: If it cannot be read.
    """
    path = folder / PER_IMAGE
    return _read_csv(path, _image_score) if path.is_file() else []


def _image_score(row: dict[str, str]) -> ImageScore:
    perceptual = {key: float(value) for key, value in row.items() if key not in COLUMNS}
    seconds = float(row.get("seconds") or "nan")
    return ImageScore(image=row["image"], seconds=seconds, perceptual=perceptual, **_score(row))


def _score(row: dict[str, str]) -> dict[str, Any]:
    numbers = {"psnr_db": float(row["psnr_db"]), "ssim": float(row["ssim"])}
    return {"dataset": row["dataset"], "scale": int(row["scale"]), **numbers}


def _read_csv(path: Path, read: Callable[[dict[str, str]], _T]) -> list[_T]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [read(row) for row in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"{path} must have the columns dataset, scale, psnr_db and ssim, with numbers, but: {error!r}; "
            "score the run again."
        ) from error


def read_info(folder: Path) -> RunInfo:
    """Return what `run.json` says.

    Raises:
        DataError: If it is missing or cannot be read.
    """
    path, remedy = folder / INFO, "it is written beside summary.csv; score the run again"
    if not path.is_file():
        raise DataError(
            f"{path} must say by which protocol the scores beside it were made, found no such file; {remedy}."
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        protocol = ScoringProtocol(**_known(ScoringProtocol, content["protocol"]))
        counts = {int(scale): float(count) for scale, count in content.get("multiply_adds", {}).items()}
        changed = {"method": str(content["method"]), "protocol": protocol, "multiply_adds": counts}
        return RunInfo(**{**_known(RunInfo, content), **changed})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} must name the method and the protocol of the scores, but: {error!r}; {remedy}."
        ) from error


def _known(kind: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a class has a field for; files of other versions have others."""
    names = {attribute.name for attribute in fields(kind)}
    return {key: value for key, value in content.items() if key in names}
