"""Pictures of the progress: the first validation image after each validation, beside what it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.color import to_rgb8
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.io import write_rgb
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.lit.base import Batch, LitSuperResolution
from prosr_lightning.metrics import psnr
from prosr_lightning.pictures.comparison import Panel, comparison, detailed_window, enlarged_crop


class ValidationPanels(Callback):
    """Draw the most detailed crop of the first validation image: LR, bicubic, SR and HR, in luminance.

    One row for each validation scale. The picture is saved as `epoch_0003.png`; Weights & Biases, where it is the
    logger, gets the four crops of each scale, with their captions, as `val/panel/x<scale>`.

    Args:
        dirpath: Folder of the pictures.
        side: Side of the crop, in pixels of HR.
        every: Draw after every so many validations.

    Raises:
        ConfigError: If an argument is not positive.
    """

    def __init__(self, *, dirpath: Path | str, side: int = 96, every: int = 1) -> None:
        if side < 1 or every < 1:
            raise ConfigError(f"`side` and `every` must be at least 1, got {side} and {every}; see conf/callbacks.")
        self.dirpath, self.side, self.every = Path(dirpath), side, every
        self._validations = 0

    @torch.no_grad()
    def on_validation_batch_end(  # Lightning's signature
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401  # Lightning's signature
        batch: Any,  # noqa: ANN401  # Lightning's signature
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw after the first image."""
        if batch_idx or trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        self._validations += 1
        if (self._validations - 1) % self.every:
            return
        module = cast(LitSuperResolution, pl_module)
        hr = modcrop(batch["hr"], max(module.val_scales))  # what every row shows
        side = min(self.side, *hr.shape[-2:])
        rows = {scale: _row(module, batch, scale) for scale in module.val_scales}
        window = detailed_window(to_rgb8(hr), side)
        picture = comparison(list(rows.values()), window=window, side=side)
        write_rgb(self.dirpath / f"epoch_{trainer.current_epoch:04d}.png", picture)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                for scale, row in rows.items():
                    height = row[-1].image.shape[0]
                    crops = [enlarged_crop(panel.image, window=window, side=side, full_height=height) for panel in row]
                    captions = [panel.caption.replace("\n", ", ") for panel in row]
                    logger.log_image(f"val/panel/x{scale}", crops, caption=captions)  # no `step`: another axis


def _row(module: LitSuperResolution, batch: Batch, scale: int) -> list[Panel]:
    """Return LR, bicubic, SR and HR of one image at one scale."""
    hr, lr = modcrop(batch["hr"], scale), batch["lr"][scale]
    results = {
        "bicubic": bicubic_upscale(lr, scale),
        "SR": module.network.enlarge(lr, scale),
    }
    return [
        Panel(caption=f"LR, {scale}x smaller", image=to_rgb8(lr)),
        *(
            Panel(caption=f"{name} {scale}x\n{float(psnr(sr, hr, border=scale)):.2f} dB", image=to_rgb8(sr))
            for name, sr in results.items()
        ),
        Panel(caption="HR", image=to_rgb8(hr)),
    ]
