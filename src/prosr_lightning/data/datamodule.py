"""Patches for training and whole images for validation, as LightningDataModules.

The modules are keyword-only dataclasses, so that each states its own settings and inherits the shared ones; `conf/data`
fills them key by key.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.data.cache import CachedImage, Progress, load_photographs
from prosr_lightning.data.patches import BatchKey, EpochSampler, PatchBatches, PatchLoader, Position
from prosr_lightning.data.shares import PLANES, draw_level, draw_planes, read_shares
from prosr_lightning.data.sources import several
from prosr_lightning.data.validation import ShardSampler, ValidationImages, require_readable
from prosr_lightning.errors import ConfigError, require_choice, require_whole
from prosr_lightning.imaging.color import rgb_to_ycbcr
from prosr_lightning.imaging.degradation import Bicubic, Degradation
from prosr_lightning.imaging.factors import levels_up_to
from prosr_lightning.imaging.geometry import apply_symmetries, modcrop
from prosr_lightning.imaging.pyramid import level_pyramid, take_planes


@dataclass(kw_only=True, eq=False, repr=False)
class PatchDataModule(LightningDataModule, abc.ABC):
    """Random HR patches with their level pyramid, from photographs that a subclass names (Sec. 4.2).

    A training batch on the device is `{"lr": (N, 1, S / scale, S / scale), "hr": {level: (N, 1, ..)}}` in float32
    luminance, the scale being the largest of its levels; a validation batch is described at `ValidationImages`, with
    `lr` by factor besides, see `validate_at`.

    Args:
        levels: Factors of the supervised levels; the largest is the scale of LR.
        crop: Side S of the HR patch, a multiple of that scale; None where `lr_crop` is given.
        lr_crop: Side of the LR patch instead, so that S is `lr_crop` times that scale.
        batch_size: Patches in a batch on each device.
        patches_per_epoch: Patches of an epoch over all devices (125,000 in Sec. 4.2), drawn anew in each.
        num_workers: Worker processes of each device; 0 cuts the patches in the training process.
        cache_dir: Folder of the luminance cache.
        augment: Apply random flips and quarter turns.
        shrink: Also cut patches from copies of the photographs that are smaller by these factors, each in (0, 1):
            LapSRN's "scaling". Each pixel of the copies counts like one of the photographs.
        on_bad_image: "stop" or "skip", see `load_photographs`.
        val_limit: Validate on the first images of each set only; None takes all.
        seed: Seed of the patches; the same seed gives the same batches.
        redraw: Draw new patches in each epoch; False repeats those of the first.
        level_shares: Train one level a batch instead of the sum over all of them, each with its share of the batches,
            such as `{2: 0.7, 4: 0.3}`, or "equal". The LR of a batch has the side `crop / level`.
        supervise: With `level_shares`, supervise the "top" level of a batch alone, or "all" on the way to it as well.
        planes: Cut each patch from one of the planes y, cb and cr, with shares such as `{y: 0.6, cb: 0.2, cr: 0.2}`, or
            "equal", so that one network takes chroma as well; None cuts luminance alone.
        degradation: Makes LR, for training and for validation.

    Raises:
        ConfigError: If a value is outside its range.
    """

    levels: Sequence[int]
    crop: int | None
    batch_size: int
    patches_per_epoch: int
    num_workers: int
    cache_dir: Path | str
    augment: bool = True
    shrink: Sequence[float] = ()
    on_bad_image: str = "stop"
    val_limit: int | None = None
    seed: int = 0
    lr_crop: int | None = None
    redraw: bool = True
    level_shares: Mapping[int, float] | str | None = None
    supervise: str = "top"
    planes: Mapping[str, float] | str | None = None
    degradation: Degradation = field(default_factory=Bicubic)

    def __post_init__(self) -> None:
        super().__init__()
        if not self.levels:
            raise ConfigError("`levels` must name at least one level, got none; choose levels=x2 for a start.")
        for level in self.levels:
            levels_up_to(level)  # each must be a power of two
        self.scale = max(self.levels)
        limits = {"batch_size": 1, "patches_per_epoch": 1, "crop": 1, "num_workers": 0, "val_limit": 1, "lr_crop": 1}
        for name, least in limits.items():
            value = getattr(self, name)
            if name in ("crop", "lr_crop", "val_limit") and value is None:
                continue
            require_whole(name, value, least=least, remedy="see conf/data")
        self.shrink = several(self.shrink)
        factors = all(isinstance(factor, float) and 0 < factor < 1 for factor in self.shrink)
        if not factors or len(set(self.shrink)) < len(self.shrink):
            raise ConfigError(f"`shrink` must be different factors between 0 and 1, got {self.shrink}; try [0.75,0.5].")
        self.side = self._checked_side()
        require_choice("on_bad_image", self.on_bad_image, ("stop", "skip"))
        require_choice("supervise", self.supervise, ("top", "all"))
        self._shares: dict[int, float] | None = None
        if self.level_shares is not None:
            self._shares = read_shares("level_shares", self.level_shares, self.levels, example=f"{{{self.scale}: 1}}")
        planes = {"y": 1} if self.planes is None else self.planes
        self._planes = read_shares("planes", planes, PLANES, example="{y: 0.6, cb: 0.2, cr: 0.2}")
        self._color = self.degradation.color or list(self._planes) != ["y"]
        self.progress: Progress | None = None
        self.val_scales: Sequence[int] = self.levels
        self._images: list[CachedImage] | None = None
        self._lr_images: Sequence[CachedImage] = ()  # where they are given
        self.begun: BatchKey | None = None  # the newest batch that the training took, since it was begun or resumed
        self._begin_at: Position = {"epoch": 0, "batch": 0}

    @abc.abstractmethod
    def training_photographs(self) -> list[Path]:
        """Return the photographs to train on."""

    @abc.abstractmethod
    def validation_sets(self) -> list[Benchmark]:
        """Return the data sets to validate on."""

    def validate_at(self, scales: Sequence[int]) -> None:
        """Give validation images LR at these factors, and no longer at `levels`."""
        self.val_scales = scales

    def prepare_data(self) -> None:
        """Check every image and decode the new photographs, once a machine, before training begins.

        Raises:
            DataError: With every image that cannot be used; unusable photographs are left out instead where
                `on_bad_image` is "skip".
        """
        if self._images is None:
            require_readable(self._validation_images())
            self._images = self._load_images()

    def contents(self) -> dict[str, Any]:
        """Return what is trained and validated on, after `prepare_data`: for logs and records.

        Returns:
            `{"photographs": N, "megapixels": of these, "shrunk": copies of them, "folder": what holds them all,
            "validation": {set: images}}`.
        """
        whole: dict[Path, int] = {}
        for image in self._images or ():
            whole[image.source] = max(whole.get(image.source, 0), image.height * image.width)
        return {
            "photographs": len(whole),
            "megapixels": round(sum(whole.values()) / 1e6, 1),
            "shrunk": len(self._images or ()) - len(whole),
            "folder": os.path.commonpath([path.parent for path in whole]) if whole else "",
            "validation": {
                benchmark.name: len(benchmark.images[: self.val_limit]) for benchmark in self.validation_sets()
            },
        }

    def setup(self, stage: str) -> None:
        """Open the cache that `prepare_data` filled, and begin at the first batch."""
        if stage == "fit":
            self.load_state_dict({"epoch": 0, "batch": 0})
            if self._images is None:
                self._images = self._load_images()

    def state_dict(self) -> Position:
        """Return where the next training batch stands; Lightning keeps it in the checkpoint."""
        if self.begun is None:
            return self._begin_at
        assert self.trainer is not None
        (epoch, number, step), batches = self.begun, int(self.trainer.num_training_batches)
        if step + 1 >= batches:
            return {"epoch": epoch + 1, "batch": 0, "number": 0, "batches": batches}
        rank, world_size = self._place()
        return {"epoch": epoch, "batch": step + 1, "number": number - rank + world_size, "batches": batches}

    def load_state_dict(self, state_dict: Position) -> None:
        """Go on where a checkpoint stopped, in the middle of an epoch or at its end."""
        self._begin_at, self.begun = state_dict, None

    def num_batches(self) -> int:
        """Return the batches of an epoch on each device, before any limit of the trainer."""
        return max(1, self.patches_per_epoch // (self.batch_size * self._place()[1]))

    def train_dataloader(self) -> PatchLoader:
        """Return the loader of raw batches; `on_after_batch_transfer` finishes them."""
        assert self._images is not None, "setup() comes first"
        rank, world_size = self._place()
        return PatchLoader(
            dataset=PatchBatches(
                images=self._images,
                crop=self.side,
                scale=self.scale,
                margin=self._margin(),
                batch_size=self.batch_size,
                seed=self.seed,
                redraw=self.redraw,
                lr=self._lr_images,
            ),
            sampler=EpochSampler(batches=self.num_batches(), begin=self._begin_epoch, rank=rank, world_size=world_size),
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            position=self.state_dict,
            resume=self.load_state_dict,
        )

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return the loader of whole images, dealt out to the devices without counting any twice."""
        dataset = self._validation_images()
        rank, world_size = self._place()
        sampler = ShardSampler(length=len(dataset), rank=rank, world_size=world_size)
        return DataLoader(dataset, batch_size=None, sampler=sampler)

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401  # Lightning's signature
        """Augment the HR patches and make their pyramid, or the LR images of a validation image, on the device."""
        if isinstance(batch, dict):
            return self._with_lr(batch)
        patches, codes, key, *own_lr = batch
        self.begun = key
        if self.augment:  # of bytes: a quarter of the memory to move
            patches, *own_lr = (apply_symmetries(cut, codes) for cut in (patches, *own_lr))
        levels = self._levels_of(key)
        scale = max(levels)
        excess = self._margin() - self.degradation.margin(scale)  # patches are cut for the level that needs most
        hr = patches[..., excess : patches.shape[-2] - excess, excess : patches.shape[-1] - excess].float().div_(255)
        draw = (self.seed, key.epoch if self.redraw else 0, key.number)
        planes = None
        if self._color:
            hr, planes = rgb_to_ycbcr(hr), draw_planes(self._planes, draw, len(hr))
        lr, targets = level_pyramid(
            hr, scale=scale, levels=levels, degradation=self.degradation, draw=draw, planes=planes
        )
        for cut in own_lr:
            lr = cut.float().div_(255)
            lr = take_planes(rgb_to_ycbcr(lr) if self._color else lr, planes)
        return {"lr": lr, "hr": targets}

    def _with_lr(self, image: dict[str, Any]) -> dict[str, Any]:
        if "given" in image:
            return {**image, "lr": dict.fromkeys(self.val_scales, image["given"])}
        hr, draw = image.get("ycbcr", image["hr"]), (image["number"],)
        lr = {scale: self.degradation.applied(modcrop(hr, scale), scale, draw=draw)[:, :1] for scale in self.val_scales}
        return {**image, "lr": lr}

    def _margin(self) -> int:
        """Return the pixels around each HR patch that the LR of any level may need."""
        if self._shares is None:
            return self.degradation.margin(self.scale)
        needed = max(self.degradation.margin(level) for level in self._shares)
        return -(-needed // self.scale) * self.scale  # on the grid of the largest level

    def _levels_of(self, key: BatchKey) -> Sequence[int]:
        """Return the factors that a batch supervises; the largest is the scale of its LR."""
        if self._shares is None:
            return self.levels
        top = draw_level(self._shares, self.seed, key if self.redraw else key._replace(epoch=0))
        return [top] if self.supervise == "top" else [level for level in self.levels if level <= top]

    def _checked_side(self) -> int:
        """Return the side of the HR patch."""
        if (self.crop is None) == (self.lr_crop is None):
            raise ConfigError(
                f"One of `crop` and `lr_crop` must be given, got {self.crop} and {self.lr_crop}; set the other to null."
            )
        side = self.crop if self.crop is not None else (self.lr_crop or 0) * self.scale
        if side % self.scale:
            raise ConfigError(
                f"`crop` must be a multiple of the largest level, {self.scale}, got {side}; "
                f"choose {max(1, side // self.scale) * self.scale}."
            )
        return side

    def _validation_images(self) -> ValidationImages:
        return ValidationImages(sets=self.validation_sets(), limit=self.val_limit, color=self.degradation.color)

    def _load_images(self) -> list[CachedImage]:
        return load_photographs(
            self.cache_dir,
            [Path(path) for path in self.training_photographs()],
            color=self._color,
            min_side=self.side,
            shrink=self.shrink,
            on_bad_image=self.on_bad_image,
            progress=self.progress,
        )

    def _begin_epoch(self) -> Position:
        """Return where the next iteration begins; not from its count, since Lightning makes more than it uses."""
        return self._begin_at if self.begun is None else {"epoch": self.begun.epoch + 1, "batch": 0}

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
