"""Scored runs, read back: their folders by the words that name them, and the training behind the scores."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prosr_lightning.errors import DataError
from prosr_lightning.imaging.degradation import BICUBIC
from prosr_lightning.runs.folder import BEST, LAST
from prosr_lightning.runs.record import RunRecord
from prosr_lightning.runs.scores import SUMMARY, RunInfo, SummaryRow, read_images, read_info, read_summary, summarise
from prosr_lightning.runs.training import read_training


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
        ensemble += "" if self.info.chroma == "bicubic" else f", chroma by {self.info.chroma}"
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
                f"{'found neither' if folder.is_dir() else 'but there is no such folder'}; {_remedy(folder)}."
            )
        here = [read_run(path, name) for path in scored]
        runs += [run for run in here if name is None or not run.is_bicubic or len(here) == 1]
    return runs


def _remedy(folder: Path) -> str:
    """Return the command that scores the weights of a run which was only trained."""
    checkpoint = folder / BEST if (folder / BEST).is_file() else folder / LAST
    if not checkpoint.is_file():
        return "name the folder of one run, or correct the path"
    words = ("method=ours", f"ckpt_path={checkpoint}", f"hydra.run.dir={folder / 'test' / 'ours'}")
    return f"score it by `python -m prosr_lightning.evaluate {shlex.join(words)}`"


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
        folders = sorted({path.parent for pattern in patterns for path in folder.glob(pattern)}, key=by_number)
        if folders:
            return folders
    return []


def by_number(path: Path) -> list[tuple[int, str]]:
    """Order the tenth job of a multirun after the ninth."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path)) if part]


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
    info = read_info(folder)
    run_folder = folder.parents[1] if folder.parent.name == "test" else folder
    training = None
    if info.method.lower() != "bicubic":
        training = training_of(run_folder)
        if training is None and info.source is not None:  # an evaluated checkpoint: RUN/checkpoints/best.ckpt
            training = training_of(Path(info.source).parent.parent)
    images = {(row.dataset, row.scale): row for row in summarise(read_images(folder))}
    scores = {}
    for row in read_summary(folder):
        beside = images.get((row.dataset, row.scale), row)
        scores[row.dataset, row.scale] = replace(beside, psnr_db=row.psnr_db, ssim=row.ssim)
    return Run(folder=folder, run_folder=run_folder, name=name, info=info, training=training, scores=scores)
