"""ProSRN: the 2x network trained by Charbonnier losses summed over levels (Sec. 2.2 and 2.4)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from prosr_lightning.errors import ConfigError
from prosr_lightning.lit.base import Batch, LitSuperResolution
from prosr_lightning.lit.limits import run_progress
from prosr_lightning.lit.schedules import advance_schedules
from prosr_lightning.losses import EPS, cascade, content_loss
from prosr_lightning.networks.contract import SRNetwork

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]
ContentLoss = Callable[[Tensor, Tensor], Tensor]


class LitProSRN(LitSuperResolution):
    """Train a super-resolution network with mixed training (Eq. 9).

    Logged: `train/loss` (Eq. 9), `train/level_<factor>/content` (Eq. 1 of each level, the newest), `val/psnr`,
    `val/ssim`, `val/<set>/x<scale>/psnr`, `val/<set>/x<scale>/ssim`.

    Args:
        generator: The network.
        optimizer: Makes the optimizer from the parameters (Adam, Sec. 4.2).
        scheduler: Makes the learning-rate schedule from the optimizer, stepped once a batch; None keeps the rate.
        levels: Factors whose images are compared with the ground truth: `[2]`, `[2, 4]`, `[2, 4, 8]`.
        val_scales: Factors to validate at; None takes `levels`.
        content: The loss of one image, a function of (sr, hr) that returns a scalar; None takes Eq. 1 with `eps`.
        eps: The constant of Eq. 2.
        detach_between_levels: Stop the gradient between levels (docs/paper-notes.md, entry 8).
        ema_decay: Decay of the moving average of the weights, used for validation and kept; 0 switches it off.
        check_finite_every: Look for a non-finite loss every so many batches; more than 1 spares a GPU the wait.
        compile: Compile the network with `torch.compile`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self,
        *,
        generator: SRNetwork,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        levels: Sequence[int] = (2,),
        val_scales: Sequence[int] | None = None,
        content: ContentLoss | None = None,
        eps: float = EPS,
        detach_between_levels: bool = False,
        ema_decay: float = 0.999,
        check_finite_every: int = 1,
        compile: bool = False,  # the name users know
    ) -> None:
        super().__init__(
            generator=generator,
            levels=levels,
            val_scales=val_scales,
            ema_decay=ema_decay,
            check_finite_every=check_finite_every,
        )
        if not eps > 0:
            raise ConfigError(f"`eps` must be positive, got {eps}; Sec. 2.2.1 has 1e-6.")
        self.optimizer_factory, self.scheduler_factory = optimizer, scheduler
        self.content = content or functools.partial(content_loss, eps=eps)
        self.detach_between_levels = detach_between_levels
        if compile:
            self.generator.compile()  # unlike torch.compile(generator), keeps the state-dict keys

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Reconstruct from LR every level that the batch has a ground truth of, and add their losses (Eq. 9)."""
        lr: Tensor = batch["lr"].contiguous(memory_format=torch.channels_last)
        images = self.generator.supervised(lr, max(batch["hr"]), detach_between_levels=self.detach_between_levels)
        losses = {level: self._level_loss(images[level], hr) for level, hr in batch["hr"].items()}
        loss = cascade(losses.values())
        self.note_loss(loss)
        self.log("train/loss", loss, prog_bar=True, batch_size=lr.shape[0])
        for level, content in losses.items():
            self.log(f"train/level_{level}/content", content, batch_size=lr.shape[0])
        return loss

    def _level_loss(self, images: list[Tensor], hr: Tensor) -> Tensor:
        """Return the loss of a level's own image; intermediate predictions matter less and less (DRCN, Eq. 7)."""
        own = self._loss(images[0], hr)
        if len(images) == 1:
            return own
        share = 1 - run_progress(self.trainer)  # DRCN's alpha, which falls from 1 to 0
        return (1 - share) * own + share * torch.stack([self._loss(image, hr) for image in images[1:]]).mean()

    def _loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the loss of one image.

        Raises:
            ConfigError: If the function gives anything but one number with a gradient.
        """
        loss = self.content(sr, hr)
        if not (isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad):
            got = (
                f"one of shape {tuple(loss.shape)}"
                if isinstance(loss, Tensor) and loss.numel() != 1
                else f"{loss!r:.80}"
            )
            raise ConfigError(
                f"`model.content` must return one number as a tensor that depends on `sr`, got {got}; see "
                "docs/extending.md."
            )
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer of the generator, and its schedule, stepped once a batch."""
        optimizer = self.optimizer_factory(self.generator.parameters())
        if self.scheduler_factory is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.scheduler_factory(optimizer), "interval": "step"},
        }

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Update the generator, then its moving average."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.finish_step()

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:  # noqa: ANN401  # Lightning's signature
        """Step the schedule by the share of the run that is done."""
        advance_schedules([scheduler], self.trainer)
