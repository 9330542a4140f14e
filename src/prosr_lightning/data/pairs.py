"""A data module of photographs whose LR images are given, as RealSR and DIV2K's unknown track have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from prosr_lightning.data.benchmarks import Benchmark, find_images
from prosr_lightning.data.cache import CachedImage, load_photographs
from prosr_lightning.data.datamodule import PatchDataModule
from prosr_lightning.data.pairing import match_images
from prosr_lightning.data.photographs import HOLD_OUT_EVERY
from prosr_lightning.data.validation import ValidationImages
from prosr_lightning.errors import ConfigError, DataError, listing
from prosr_lightning.imaging.degradation import Bicubic


@dataclass(kw_only=True, eq=False, repr=False)
class PairsDataModule(PatchDataModule):
    """Train on LR images that are given beside the photographs; smaller levels are the photographs', shrunk.

    Args:
        hr_dir: The photographs.
        lr_dir: Their LR images, smaller by the largest of `levels`, named as `data.pairing.match_images` says.
        val_hr_dir: The photographs to validate on; None keeps every 20th pair out of training for it.
        val_lr_dir: Their LR images.

    Raises:
        ConfigError: If a setting has no meaning for given LR images.
        DataError: If a folder is not given.
    """

    hr_dir: Path | str | None
    lr_dir: Path | str | None
    val_hr_dir: Path | str | None = None
    val_lr_dir: Path | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hr_dir", "lr_dir"):
            if not getattr(self, name):
                raise DataError(f"data.{name} must name a folder of images, got nothing; add data.{name}=DIR.")
        if (self.val_hr_dir is None) != (self.val_lr_dir is None):
            raise ConfigError(
                "`val_hr_dir` and `val_lr_dir` must be given together, got one of them; add the other, or leave both "
                "out to hold pairs out."
            )
        if type(self.degradation) is not Bicubic:
            raise ConfigError(
                f"`degradation` has no meaning for LR images that are given, got {self.degradation.name}; leave it out."
            )
        for name, value, rest in (("shrink", self.shrink, []), ("level_shares", self.level_shares, None)):
            if value != rest:
                raise ConfigError(
                    f"`{name}` needs LR images of other sizes than those that are given, got {value!r}; leave it out."
                )

    def training_photographs(self) -> list[Path]:
        """Return the photographs of `hr_dir` that are not held out."""
        return list(self._pairs)

    def validation_sets(self) -> list[Benchmark]:
        """Return the set of `val_hr_dir`, or the pairs that are held out."""
        if self.val_hr_dir is not None and self.val_lr_dir is not None:
            return [_folder(self.val_hr_dir, self.val_lr_dir)]
        whole = _folder(self.hr_dir or "", self.lr_dir or "")
        return [Benchmark(name="held_out", images=whole.images[::HOLD_OUT_EVERY], lr_dir=whole.lr_dir)]

    def validate_at(self, scales: Sequence[int]) -> None:
        """Validate at the factor of the LR images, the only one there is.

        Raises:
            ConfigError: If another one is asked for.
        """
        if list(scales) != [self.scale]:
            raise ConfigError(
                f"`val_scales` must be [{self.scale}], the factor of the LR images that are given, got "
                f"{list(scales)}; set val_scales=[{self.scale}]."
            )
        super().validate_at(scales)

    def prepare_data(self) -> None:
        """Check the sizes of all pairs, those of validation among them, before anything is decoded.

        Raises:
            DataError: With every pair that does not fit, in one list.
        """
        pairs = dict(self._validation_images().lr) | self._pairs
        problems = [problem for hr, lr in pairs.items() if (problem := _problem(hr, lr, self.scale))]
        if problems:
            raise DataError(
                f"{len(problems)} of {len(pairs)} pairs of images cannot be used at {self.scale}x; repair them or "
                f"remove both:{listing(problems)}"
            )
        super().prepare_data()

    @cached_property
    def _pairs(self) -> dict[Path, Path]:
        """Return the LR image of each training photograph."""
        whole = _folder(self.hr_dir or "", self.lr_dir or "")
        lr = match_images(whole, whole.lr_dir or "", self.scale, several=False, what="LR image")
        pairs = dict(zip(whole.images, lr, strict=True))
        held_out = set(self.validation_sets()[0].images)
        return {image: small for image, small in pairs.items() if image not in held_out}

    def _validation_images(self) -> ValidationImages:
        return ValidationImages(sets=self.validation_sets(), limit=self.val_limit, lr_scale=self.scale)

    def _load_images(self) -> list[CachedImage]:
        images = super()._load_images()
        self._lr_images = load_photographs(
            self.cache_dir,
            [self._pairs[image.source] for image in images],
            color=self._color,
            min_side=self.side // self.scale,
        )
        return images


def _folder(hr_dir: Path | str, lr_dir: Path | str) -> Benchmark:
    folder = Path(hr_dir).expanduser()
    return Benchmark(name=folder.name, images=tuple(find_images(folder)), lr_dir=Path(lr_dir).expanduser())


def _problem(hr: Path, lr: Path, scale: int) -> str | None:
    """Say why a pair does not fit, from the headers alone; None if it does."""
    sizes = []
    for path in (hr, lr):
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except (OSError, Image.DecompressionBombError) as error:
            return f"{path} cannot be read: {error}; replace it."
    (width, height), small = sizes
    if (width, height) != (small[0] * scale, small[1] * scale):
        return (
            f"{lr} must be smaller than {hr.name} by {scale}, {width / scale:g}x{height / scale:g} pixels, got "
            f"{small[0]}x{small[1]}."
        )
    return None
