"""Data modules for DIV2K, for folders of photographs, and for those that come with scikit-image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from prosr_lightning.data.benchmarks import Benchmark, find_dataset
from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.data.sources import div2k_images, folder_images, sample_photographs, several
from prosr_lightning.data.validation import readable
from prosr_lightning.errors import DataError

_VALIDATION_SET = "Kodak24"
HOLD_OUT_EVERY = 20


@dataclass(kw_only=True, eq=False, repr=False)
class DIV2KDataModule(PatchDataModule):
    """Train on DIV2K's 800 images (Sec. 4.1) and validate on its validation images.

    Args:
        data_dir: The folder that holds `DIV2K/`.
        val_limit: 10 takes 0801 to 0810, as is usual.
    """

    data_dir: Path | str

    def training_photographs(self) -> list[Path]:
        """Return DIV2K 0001 to 0800."""
        return div2k_images(Path(self.data_dir).expanduser(), "train")

    def validation_sets(self) -> list[Benchmark]:
        """Return DIV2K 0801 to 0900."""
        return [Benchmark(name="DIV2K", images=tuple(div2k_images(Path(self.data_dir).expanduser(), "valid")))]


@dataclass(kw_only=True, eq=False, repr=False)
class FolderDataModule(PatchDataModule):
    """Train on any folder of photographs, with all folders below it.

    Args:
        train_dir: The folder, or several.
        include: Patterns of files or folders to take, or a single one; empty takes all.
        exclude: The same of those to leave out.
        data_dir: Where the validation sets are.
        val_sets: Names of data sets, or folders, to validate on. None takes Kodak24 where `data_dir` has it, and
            otherwise keeps every 20th photograph of `train_dir` out of training for it; `on_bad_image` holds for these.

    Raises:
        DataError: If `train_dir` is not given.
    """

    train_dir: Path | str | Sequence[Path | str] | None
    data_dir: Path | str
    val_sets: Sequence[str] | str | None = None
    include: Sequence[str] | str = ()
    exclude: Sequence[str] | str = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.train_dir:
            raise DataError("data.train_dir must name a folder of images, got nothing; add data.train_dir=DIR.")

    def training_photographs(self) -> list[Path]:
        """Return the images below `train_dir` that `include` and `exclude` leave."""
        photographs = self._photographs()
        if self._val_names() is None:
            del photographs[::HOLD_OUT_EVERY]
        return photographs

    def validation_sets(self) -> list[Benchmark]:
        """Return the sets named by `val_sets`, or what its default finds."""
        names = self._val_names()
        if names is None:
            return [Benchmark(name="held_out", images=self._held_out)]
        return [find_dataset(name, Path(self.data_dir).expanduser()) for name in names]

    def _val_names(self) -> list[str] | None:
        """Return the sets to validate on; None where photographs are held out for it."""
        if self.val_sets is not None:
            return several(self.val_sets)
        return [_VALIDATION_SET] if (Path(self.data_dir).expanduser() / _VALIDATION_SET).is_dir() else None

    @cached_property
    def _held_out(self) -> tuple[Path, ...]:
        photographs = self._photographs()[::HOLD_OUT_EVERY]
        if self.on_bad_image == "stop":
            return tuple(photographs)
        usable = readable(photographs)
        if not usable:
            raise DataError(
                f"Of the {len(photographs)} photographs held out for validation one must be usable, got none; repair "
                "them, or choose data.val_sets."
            )
        return usable

    def _photographs(self) -> list[Path]:
        folders = [Path(folder).expanduser() for folder in several(self.train_dir)]
        return folder_images(folders, include=several(self.include), exclude=several(self.exclude))


@dataclass(kw_only=True, eq=False, repr=False)
class SampleDataModule(PatchDataModule):
    """Train on three of the photographs that come with scikit-image and validate on the fourth.

    Args:
        held_out: File stem of the photograph to validate on.
    """

    held_out: str

    def training_photographs(self) -> list[Path]:
        """Return the sample photographs but the held-out one."""
        return sample_photographs(self.held_out)[0]

    def validation_sets(self) -> list[Benchmark]:
        """Return the held-out photograph as a set named "sample"."""
        return [sample_photographs(self.held_out)[1]]
