"""Scores of images, their means, and the files that hold them: written by `evaluate` and `train`, read by reports."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import torch

from prosr_lightning.errors import DataError
from prosr_lightning.imaging.degradation import BICUBIC
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.metrics.protocol import ScoringProtocol
from prosr_lightning.runs.record import RunRecord
from prosr_lightning.runs.training import read_training
from prosr_lightning.tables import csv_text

PER_IMAGE = "per_image.csv"
SUMMARY = "summary.csv"
INFO = "run.json"
_COLUMNS = ("dataset", "scale", "image", "psnr_db", "ssim", "seconds")  # of each image, before perceptual values
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
    lr_dir: str | None = None
    degradation: str = BICUBIC
    device: str = "cpu"

    @property
    def caption(self) -> str:
        """The caption of every table of this run."""
        ensemble = ", x8 self-ensemble" if self.self_ensemble else ""
        narrow = ", features in bfloat16" if self.bf16 else ""
        given = self.lr_images and f", {self.lr_images}"
        return f"{self.method}{ensemble}{narrow}; {self.protocol.describe(bicubic=self.method == 'bicubic')}{given}"

    @property
    def lr_images(self) -> str:
        """What a caption says of the LR images; nothing where they are those of all tables, bicubic."""
        if self.lr_dir:
            return f"LR images from {self.lr_dir}"
        return "" if self.degradation == BICUBIC else f"LR images by {self.degradation}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one method scored, read back.

    Attributes:
        folder: Holds `summary.csv` and `run.json`.
        run_folder: The folder that was named; differs for a training run's `test/<method>`.
        name: The row it belongs to, where the user says so.
        info: What was scored and how.
        training: The record of the network's training, where its run folder can be found.
        scores: By set and scale.
    """

    folder: Path
    run_folder: Path
    name: str | None
    info: RunInfo
    training: RunRecord | None
    scores: Mapping[tuple[str, int], SummaryRow]

    @property
    def is_bicubic(self) -> bool:
        """Whether this is the bicubic row."""
        return self.info.method.lower() == "bicubic"

    @property
    def label(self) -> str:
        """A name for a row of its own: the one given, or method, trained levels and what differs from the paper."""
        if self.name is not None:
            return self.name
        ensemble = (", x8 self-ensemble" if self.info.self_ensemble else "") + (", bfloat16" if self.info.bf16 else "")
        ensemble += "" if self.info.degradation == BICUBIC else f", LR by {self.info.degradation}"
        if self.is_bicubic:
            return "Bicubic" + ensemble
        if self.training is None:
            return self.info.method + ensemble
        several = self.training.method == "ProSRN" and self.training.levels
        levels = f" ({', '.join(f'{level}x' for level in self.training.levels)})" if several else ""
        settings = "".join(f", {key}={value}" for key, value in self.training.settings.items())
        return f"{self.training.method}{levels}{settings}{ensemble}"

    def other_label(self, taken: Iterable[str]) -> str:
        """Return a name that is not taken yet, with the seed or the folder to tell it apart."""
        seed = None if self.training is None else self.training.seed
        names = [self.label, *([] if seed is None else [f"{self.label}, seed {seed}"])]
        names += [f"{self.label}, {self.run_folder.name}", f"{self.label}, {self.folder}"]
        return next((name for name in names if name not in taken), names[-1])


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
            psnr_db=fmean(one.psnr_db for one in group),
            ssim=fmean(one.ssim for one in group),
            num_images=len(group),
            seconds=fmean(one.seconds for one in group),
            perceptual={key: fmean(one.perceptual[key] for one in group) for key in group[0].perceptual},
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
        with atomic_path(Path(folder) / name) as temporary:
            temporary.write_text(csv_text(records), encoding="utf-8", newline="")
    content = {**asdict(info), "caption": info.caption, "torch": torch.__version__}
    with atomic_path(Path(folder) / INFO) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


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


def read_runs(words: Iterable[str]) -> list[Run]:
    """Read scored runs.

    Args:
        words: Each a folder, or `NAME=folder` to say which row of the table the run belongs to. A folder holds
            `summary.csv` and `run.json` (evaluate), `test/<method>/summary.csv` (train), or such folders (a multirun).

    Returns:
        The runs, in the order given; several for one word where its folder holds several.

    Raises:
        DataError: If a folder is missing, holds no scores, or its files cannot be read.
    """
    runs = []
    for word in words:
        name, folder = split_name(word)
        scored = scored_folders(folder)
        if not scored:
            raise DataError(
                f"{folder} must hold {SUMMARY}, or test/<method>/{SUMMARY} as a training run does, "
                f"{'found neither' if folder.is_dir() else 'but there is no such folder'}; "
                "score the run with prosr_lightning.evaluate, or correct the path."
            )
        here = [read_run(path, name) for path in scored]
        runs += [run for run in here if name is None or not run.is_bicubic or len(here) == 1]
    return runs


def split_name(word: str) -> tuple[str | None, Path]:
    """Split `NAME=folder`; a folder that exists may have an equals sign in its own name."""
    whole = Path(word).expanduser()
    name, equals, folder = word.partition("=")
    if not equals or whole.exists():
        return None, whole
    return name.strip() or None, Path(folder).expanduser()


def scored_folders(folder: Path) -> list[Path]:
    """Return where the scores of an evaluation, of a training run or of all runs of a sweep are."""
    if (folder / SUMMARY).is_file():
        return [folder]
    for patterns in ((f"test/*/{SUMMARY}",), (f"*/test/*/{SUMMARY}", f"*/{SUMMARY}")):
        found = sorted({path.parent for pattern in patterns for path in folder.glob(pattern)}, key=_by_number)
        if found:
            return found
    return []


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Order the tenth job of a multirun after the ninth."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in path.parts]


def read_run(
    folder: Path, name: str | None = None, training_of: Callable[[Path], RunRecord | None] = read_training
) -> Run:
    """Read the scores in one folder.

    Args:
        folder: Holds `summary.csv`, `run.json` and, for times and perceptual values, `per_image.csv`.
        name: See `Run`.
        training_of: Reads the training of a run folder.

    Raises:
        DataError: If a file is missing or cannot be read.
    """
    info = _read_info(folder / INFO)
    run_folder = folder.parents[1] if folder.parent.name == "test" else folder
    training = None
    if info.method.lower() != "bicubic":
        training = training_of(run_folder)
        if training is None and info.source is not None:  # an evaluated checkpoint: RUN/checkpoints/best.ckpt
            training = training_of(Path(info.source).parent.parent)
    images = {(row.dataset, row.scale): row for row in summarise(read_images(folder))}
    means = _read_csv(folder / SUMMARY, lambda row: SummaryRow(**_score(row)))
    if not means:
        raise DataError(f"{folder / SUMMARY} must hold at least one score, found none; score the run again.")
    scores = {}
    for row in means:
        beside = images.get((row.dataset, row.scale), row)
        scores[row.dataset, row.scale] = replace(beside, psnr_db=row.psnr_db, ssim=row.ssim)
    return Run(folder=folder, run_folder=run_folder, name=name, info=info, training=training, scores=scores)


def read_images(folder: Path) -> list[ImageScore]:
    """Return the scores of each image; nothing without `per_image.csv`.

    Raises:
        DataError: If it cannot be read.
    """
    path = folder / PER_IMAGE
    return _read_csv(path, _image_score) if path.is_file() else []


def _image_score(row: dict[str, str]) -> ImageScore:
    perceptual = {key: float(value) for key, value in row.items() if key not in _COLUMNS}
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


def _read_info(path: Path) -> RunInfo:
    remedy = "it is written beside summary.csv; score the run again"
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
    names = {one.name for one in fields(kind)}
    return {key: value for key, value in content.items() if key in names}
