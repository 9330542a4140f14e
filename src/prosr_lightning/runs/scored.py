"""Scored runs: the folders that `evaluate` and `train` leave, read back."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prosr_lightning.errors import DataError
from prosr_lightning.metrics.protocol import Protocol
from prosr_lightning.runs.training import Training, read_training


@dataclass(frozen=True, kw_only=True)
class Score:
    """The means of one set at one scale; `seconds` per image, None where the time is not known."""

    psnr_db: float
    ssim: float
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one method scored.

    Attributes:
        folder: Holds `summary.csv` and `run.json`.
        run_folder: The folder that was named; differs for a training run's `test/<method>`.
        name: The row it belongs to, where the user says so.
        method: What the run calls itself.
        protocol: The convention of its scores.
        self_ensemble: Whether each result is the mean over the eight symmetries.
        bf16: Whether features were computed in bfloat16.
        lr_dir: Folder of given LR images; None if they were made from the ground truth.
        parameters: Learned values; None if not known.
        training: How the network was trained, where its run folder can be found.
        scores: By set and scale.
    """

    folder: Path
    run_folder: Path
    name: str | None
    method: str
    protocol: Protocol
    self_ensemble: bool
    bf16: bool
    lr_dir: str | None
    parameters: int | None
    training: Training | None
    scores: Mapping[tuple[str, int], Score]

    @property
    def is_bicubic(self) -> bool:
        """Whether this is the bicubic row."""
        return self.method.lower() == "bicubic"

    @property
    def label(self) -> str:
        """A name for a row of its own: the one given, or method, trained levels and what differs from the paper."""
        if self.name is not None:
            return self.name
        ensemble = (", x8 self-ensemble" if self.self_ensemble else "") + (", bfloat16" if self.bf16 else "")
        if self.is_bicubic:
            return "Bicubic" + ensemble
        if self.training is None:
            return self.method + ensemble
        several = self.training.method == "ProSRN" and self.training.levels
        levels = f" ({', '.join(f'{level}x' for level in self.training.levels)})" if several else ""
        settings = "".join(f", {key}={value}" for key, value in self.training.settings.items())
        return f"{self.training.method}{levels}{settings}{ensemble}"


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
        found = _scored_folders(folder)
        if not found:
            raise DataError(
                f"{folder} must hold summary.csv, or test/<method>/summary.csv as a training run does, "
                f"{'found neither' if folder.is_dir() else 'but there is no such folder'}; "
                "score the run with prosr_lightning.evaluate, or correct the path."
            )
        here = [_read_run(path, name) for path in found]
        runs += [run for run in here if name is None or not run.is_bicubic or len(here) == 1]
    return runs


def split_name(word: str) -> tuple[str | None, Path]:
    """Split `NAME=folder`; a folder that exists may have an equals sign in its own name."""
    whole = Path(word).expanduser()
    name, equals, folder = word.partition("=")
    if not equals or whole.exists():
        return None, whole
    return name.strip() or None, Path(folder).expanduser()


def _scored_folders(folder: Path) -> list[Path]:
    if (folder / "summary.csv").is_file():
        return [folder]
    for patterns in (("test/*/summary.csv",), ("*/test/*/summary.csv", "*/summary.csv")):
        found = sorted({path.parent for pattern in patterns for path in folder.glob(pattern)}, key=_by_number)
        if found:
            return found
    return []


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Order the tenth job of a multirun after the ninth."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in path.parts]


def _read_run(folder: Path, name: str | None) -> Run:
    info = _read_info(folder / "run.json")
    run_folder = folder.parents[1] if folder.parent.name == "test" else folder
    source = info.get("source")
    training = None
    if str(info["method"]).lower() != "bicubic":
        training = read_training(run_folder)
        if training is None and source is not None:  # an evaluated checkpoint: RUN/checkpoints/best.ckpt
            training = read_training(Path(source).parent.parent)
    return Run(
        folder=folder,
        run_folder=run_folder,
        name=name,
        method=str(info["method"]),
        protocol=info["protocol"],
        self_ensemble=bool(info.get("self_ensemble", False)),
        bf16=bool(info.get("bf16", False)),
        lr_dir=info.get("lr_dir"),
        parameters=info.get("parameters"),
        training=training,
        scores=_read_scores(folder),
    )


def _read_info(path: Path) -> dict[str, Any]:
    """Return the content of run.json, its protocol as a `Protocol`."""
    remedy = "it is written beside summary.csv; score the run again"
    if not path.is_file():
        raise DataError(
            f"{path} must say by which protocol the scores beside it were made, found no such file; {remedy}."
        )
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        info["protocol"] = Protocol(**info["protocol"])
        str(info["method"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} must name the method and the protocol of the scores, but: {error!r}; {remedy}."
        ) from error
    return info


def _read_scores(folder: Path) -> dict[tuple[str, int], Score]:
    seconds = _read_seconds(folder / "per_image.csv")
    path = folder / "summary.csv"
    scores = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = (row["dataset"], int(row["scale"]))
                scores[key] = Score(psnr_db=float(row["psnr_db"]), ssim=float(row["ssim"]), seconds=seconds.get(key))
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"{path} must have the columns dataset, scale, psnr_db and ssim, with numbers, but: {error!r}; "
            "score the run again."
        ) from error
    if not scores:
        raise DataError(f"{path} must hold at least one score, found none; score the run again.")
    return scores


def _read_seconds(path: Path) -> dict[tuple[str, int], float]:
    """Return the mean time per image; nothing for finished pictures, whose times are blank."""
    if not path.is_file():
        return {}
    times: dict[tuple[str, int], list[float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row.get("seconds"):
                times.setdefault((row["dataset"], int(row["scale"])), []).append(float(row["seconds"]))
    return {key: math.fsum(values) / len(values) for key, values in times.items()}
