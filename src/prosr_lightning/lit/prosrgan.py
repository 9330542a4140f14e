"""ProSRGAN: the generator of ProSRN against a discriminator of residual images (Sec. 2.3 and 2.4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from prosr_lightning.errors import CheckpointError, ConfigError, require_choice
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.lit.base import Batch, LitSuperResolution
from prosr_lightning.lit.criterion import DetailCriterion
from prosr_lightning.lit.prosrn import OptimizerFactory, SchedulerFactory
from prosr_lightning.lit.residuals import BASES, Level, residual_levels
from prosr_lightning.lit.schedules import advance_schedules
from prosr_lightning.lit.watch import BalanceWatch
from prosr_lightning.losses import EPS, cascade, residual_loss
from prosr_lightning.losses.adversarial import (
    KINDS,
    OBJECTIVES,
    WEIGHT,
    accuracy,
    content_reduction,
    discriminator_loss,
    full_objective,
    generator_loss,
    judged,
    probability,
    r1_penalty,
)
from prosr_lightning.networks.architecture import normalised
from prosr_lightning.networks.contract import SRNetwork, channels_last
from prosr_lightning.networks.discriminator import Discriminator


class LitProSRGAN(LitSuperResolution):
    """Train a generator and a discriminator alternately, once each a batch (Eq. 4 to 10).

    Logged: `train/g_loss` (what G minimises, Eq. 10), `train/d_loss` (what D minimises but for R1, summed over the
    levels), `train/d_r1` (R1 itself, in the batches that have it), `train/d_real` and `train/d_fake` (mean D of true
    and of generated residual images), `train/d_accuracy` (share of patches judged rightly),
    `train/level_<factor>/content` (Eq. 5), `train/level_<factor>/adversarial` (G's part of Eq. 4), both unweighted,
    `train/level_<factor>/perceptual` where there is one; `val/psnr`, `val/ssim`, `val/<set>/x<scale>/psnr`,
    `val/<set>/x<scale>/ssim`, and those of `DetailCriterion`: `val/score`, `val/psnr_over_bicubic`,
    `val/high_frequency`, `val/gmsd`.

    Args:
        generator: The network of ProSRN, trained (Sec. 4.2); see `start_from`.
        discriminator: Judges residual images, one for all levels.
        optimizer: Makes the generator's optimizer (Adam, 1e-5, Sec. 4.2).
        discriminator_optimizer: Makes the discriminator's; None takes `optimizer`.
        scheduler: Makes a schedule for each optimizer; None keeps the rates.
        watch: Warns of a discriminator that wins or loses for long; None does not.
        levels: Factors of the levels that are trained.
        val_scales: Factors to validate at; None takes `levels`.
        adversarial: Kind of Eq. 4, one of `adversarial.KINDS` (docs/paper-notes.md, entry 11).
        objective: "literal" or "text", the two readings of Eq. 7 (entry 12); see `adversarial.full_objective`.
        weight: lambda of Eq. 7.
        perceptual: Added to Eq. 7 of each level, a function of (sr, hr) with its weight in it, such as
            `losses.perceptual.vgg54`; None adds nothing.
        residual_base: x' is the bicubic enlargement of the "level_input", or of the original "lr" (entry 9).
        r1_weight: gamma of `adversarial.r1_penalty`: D also minimises gamma / 2 R1, summed over the levels; 0 leaves it
            out. In D's own units, where residual images deviate by 1, it is `Discriminator.gain` squared, 1024, times
            as large: 0.01 is the 10 of Mescheder et al.
        r1_every: Updates from one that has R1 to the next, where it counts so many times (StyleGAN2, Sec. 3.1).
        eps: The constant of Eq. 6.
        detach_between_levels: Stop the gradient between levels (entry 8).
        gradient_clip_val: Largest norm of the gradient, of each network for itself; None does not clip.
        accumulate_grad_batches: Batches from one update of each network to the next.
        pretrain_epochs: Epochs in which the generator first learns from the content alone, as a ProSRN (Eq. 9).
        ema_decay: See `LitProSRN`.
        check_finite_every: See `LitProSRN`.
        compile: Compile the generator with `torch.compile`.

    Raises:
        ConfigError: If an argument is outside its range.

    Note:
        Manual optimization: `trainer.max_steps` counts the updates of both networks, two a batch. Batch norm of the
        discriminator sees true and generated residuals in one batch, when D learns and when G does, so that G is judged
        by the D that was trained; the running averages serve nothing. With several devices each normalises its own
        patches, or all together with `trainer.sync_batchnorm=true` on GPUs.
    """

    title = "ProSRGAN"
    adversarial = True
    advice = "Try a lower optimizer.lr, model.gradient_clip_val=0.1 or model.discriminator.norm=spectral"
    clipping_key = "model.gradient_clip_val"

    def __init__(
        self,
        *,
        generator: SRNetwork,
        discriminator: Discriminator,
        optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        watch: BalanceWatch | None = None,
        levels: Sequence[int] = (2,),
        val_scales: Sequence[int] | None = None,
        adversarial: str = "non_saturating",
        objective: str = "literal",
        weight: float = WEIGHT,
        perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
        r1_weight: float = 0.0,
        r1_every: int = 16,
        residual_base: str = "level_input",
        eps: float = EPS,
        detach_between_levels: bool = False,
        gradient_clip_val: float | None = None,
        accumulate_grad_batches: int = 1,
        pretrain_epochs: int = 0,
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
        require_choice("adversarial", adversarial, KINDS)
        require_choice("objective", objective, OBJECTIVES)
        require_choice("residual_base", residual_base, BASES)
        if discriminator_optimizer is not None and not callable(discriminator_optimizer):
            raise ConfigError(
                "`discriminator_optimizer` must be null, as `optimizer`, or a whole node with _target_, got "
                f"{discriminator_optimizer}; conf/model/prosrgan.yaml has one to copy."
            )
        _check(weight, gradient_clip_val, accumulate_grad_batches, pretrain_epochs)
        _check_r1(r1_weight, r1_every, discriminator.norm)
        self.automatic_optimization = False
        self.discriminator = channels_last(discriminator)
        self.optimizer_factory, self.scheduler_factory = optimizer, scheduler
        self.discriminator_optimizer_factory = discriminator_optimizer or optimizer
        self.watch = watch
        self.kind, self.objective, self.weight, self.perceptual = adversarial, objective, weight, perceptual
        self.r1_weight, self.r1_every = r1_weight, r1_every
        self.residual_base, self.eps, self.detach_between_levels = residual_base, eps, detach_between_levels
        self.gradient_clip_val, self.accumulate_grad_batches = gradient_clip_val, accumulate_grad_batches
        self.pretrain_epochs = pretrain_epochs
        self.criterion = DetailCriterion()
        if compile:
            self.generator.compile()  # unlike torch.compile(generator), keeps the state-dict keys

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Reconstruct every level once; teach D to tell the residuals apart, then G to deceive it."""
        levels = self.reconstruct(batch)
        optimizer_g, optimizer_d = cast(list[LightningOptimizer], self.optimizers())
        if self.current_epoch < self.pretrain_epochs:
            self._update(optimizer_g, self._content_step(levels), batch_idx)
        else:
            self._update(optimizer_d, self._discriminator_step(levels), batch_idx)
            with self.discriminator.frozen():
                self._update(optimizer_g, self._generator_step(levels), batch_idx)
        if self._window_ends(batch_idx):
            self.finish_step()
            advance_schedules(cast(list[LRScheduler], self.lr_schedulers() or []), self.trainer)

    def reconstruct(self, batch: Batch) -> dict[int, Level]:
        """Return G(x), x' and r of every level that the batch has a ground truth of, from one pass of the generator."""
        lr: Tensor = batch["lr"].contiguous(memory_format=torch.channels_last)
        images = self.generator.progressive(lr, max(batch["hr"]), detach_between_levels=self.detach_between_levels)
        return residual_levels(lr, images, batch["hr"], base=self.residual_base)

    def _discriminator_step(self, levels: dict[int, Level]) -> Tensor:
        """Return what D minimises (Eq. 4, summed over the levels by Eq. 10), and log how it fares."""
        steady = self.r1_weight > 0 and self.steps_done % self.r1_every == 0
        trues = [level.residual.detach().requires_grad_(steady) for level in levels.values()]
        generated = [level.generated.detach() for level in levels.values()]
        logits = [self._judge(*pair) for pair in zip(trues, generated, strict=True)]
        loss = cascade(discriminator_loss(real, fake, kind=self.kind) for real, fake in logits)
        sides = zip(*(judged(real.detach(), fake.detach(), kind=self.kind) for real, fake in logits), strict=True)
        real, fake = (torch.cat([level.flatten() for level in side]) for side in sides)
        share = accuracy(real, fake, kind=self.kind)
        self._log_train("d_loss", loss, prog_bar=True)
        self._log_train("d_real", probability(real, kind=self.kind))
        self._log_train("d_fake", probability(fake, kind=self.kind))
        self._log_train("d_accuracy", share)
        if self.watch is not None and self.trainer.is_global_zero:
            self.watch.note(share)
        if not steady:
            return loss
        penalty = cascade(r1_penalty(true, real) for true, (real, _) in zip(trues, logits, strict=True))
        self._log_train("d_r1", penalty)
        return loss + 0.5 * self.r1_weight * self.r1_every * penalty

    def _generator_step(self, levels: dict[int, Level]) -> Tensor:
        """Return what G minimises (Eq. 7, summed over the levels by Eq. 10)."""
        losses = []
        for factor, level in levels.items():
            real, fake = self._judge(level.residual, level.generated)
            adversarial = generator_loss(real.detach(), fake, kind=self.kind)
            content = self._content(level, content_reduction(self.objective))
            losses.append(full_objective(adversarial, content, objective=self.objective, weight=self.weight))
            if self.perceptual is not None:
                losses.append(self.perceptual(level.sr, level.residual + level.lr_up))
                self._log_train(f"level_{factor}/perceptual", losses[-1])
            self._log_train(f"level_{factor}/adversarial", adversarial)
            self._log_train(f"level_{factor}/content", content)
        loss = cascade(losses)
        self._log_train("g_loss", loss, prog_bar=True)
        return loss

    def _content_step(self, levels: dict[int, Level]) -> Tensor:
        """Return what a ProSRN minimises (Eq. 9)."""
        losses = {factor: self._content(level, "mean") for factor, level in levels.items()}
        for factor, content in losses.items():
            self._log_train(f"level_{factor}/content", content)
        loss = cascade(losses.values())
        self._log_train("g_loss", loss, prog_bar=True)
        return loss

    def _log_train(self, name: str, value: Tensor, *, prog_bar: bool = False) -> None:
        self.log(f"train/{name}", value, prog_bar=prog_bar, batch_size=1)

    def _content(self, level: Level, reduction: str) -> Tensor:
        return residual_loss(level.sr, level.residual, level.lr_up, eps=self.eps, reduction=reduction)

    def _judge(self, real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of true and generated residual images, judged in one batch."""
        both = torch.cat([real, generated]).contiguous(memory_format=torch.channels_last)
        logits = self.discriminator(both)
        return logits[: len(real)], logits[len(real) :]

    def _update(self, optimizer: LightningOptimizer, loss: Tensor, batch_idx: int) -> None:
        """Add the gradient of a loss and, at the end of a window of accumulation, follow it."""
        self.note_loss(loss)
        if batch_idx % self.accumulate_grad_batches == 0:
            optimizer.zero_grad()
        self.manual_backward(loss / self.accumulate_grad_batches)
        if self._window_ends(batch_idx):
            optimizer.step()

    def _window_ends(self, batch_idx: int) -> bool:
        return (batch_idx + 1) % self.accumulate_grad_batches == 0 or self.trainer.is_last_batch

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient of the network whose turn it is, after any unscaling of mixed precision."""
        self.configure_gradient_clipping(optimizer, self.gradient_clip_val)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizers of generator and discriminator, in this order, and a schedule for each."""
        optimizers = [
            self.optimizer_factory(self.generator.parameters()),
            self.discriminator_optimizer_factory(self.discriminator.parameters()),
        ]
        if self.scheduler_factory is None:
            return optimizers
        names = ("lr/generator", "lr/discriminator")  # for LearningRateMonitor
        schedulers = [
            {"scheduler": self.scheduler_factory(optimizer), "name": name}
            for optimizer, name in zip(optimizers, names, strict=True)
        ]
        return optimizers, schedulers  # type: ignore[return-value]  # Lightning's TypedDict does not name its keys

    def score_image(self, batch: Batch, scale: int, lr: Tensor, sr: Tensor, hr: Tensor) -> None:
        """Take one validation image into PSNR and into the criterion of the best checkpoint."""
        super().score_image(batch, scale, lr, sr, hr)
        self.criterion.update(sr, bicubic_upscale(lr, scale), hr, border=scale)

    def on_validation_epoch_end(self) -> None:
        """Log PSNR and the criterion."""
        super().on_validation_epoch_end()
        for name, value in self.criterion.compute().items():
            self.log(f"val/{name}", value, prog_bar=name == "score")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the discriminator's architecture to what the base class stores."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["prosr"]["discriminator"] = self.discriminator.architecture

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another run than of a ProSRGAN with the same networks.

        Raises:
            CheckpointError: If it is a ProSRN's, another program's, or of another architecture.
        """
        super().on_load_checkpoint(checkpoint)
        stored = checkpoint["prosr"].get("discriminator")
        if stored is None:
            raise CheckpointError(
                "ckpt_path must be a checkpoint of ProSRGAN, got one without a discriminator; "
                "start from a ProSRN with init_from instead."
            )
        if normalised(stored) != self.discriminator.architecture:
            raise CheckpointError(
                f"The checkpoint must hold the discriminator of this run, {self.discriminator.architecture}, got "
                f"{stored}; choose the same settings, or another checkpoint."
            )


def _check(weight: float, gradient_clip_val: float | None, accumulate_grad_batches: int, pretrain_epochs: int) -> None:
    if weight < 0:
        raise ConfigError(f"`weight` must be >= 0, got {weight}; Sec. 4.2 has 0.01.")
    if gradient_clip_val is not None and gradient_clip_val <= 0:
        raise ConfigError(f"`gradient_clip_val` must be positive, got {gradient_clip_val}; null does not clip.")
    if accumulate_grad_batches < 1 or pretrain_epochs < 0:
        raise ConfigError(
            "`accumulate_grad_batches` must be at least 1 and `pretrain_epochs` at least 0, "
            f"got {accumulate_grad_batches} and {pretrain_epochs}; the defaults are 1 and 0."
        )


def _check_r1(r1_weight: float, r1_every: int, norm: str) -> None:
    if not 0 <= r1_weight < math.inf or r1_every < 1:
        raise ConfigError(
            f"`r1_weight` must be a number of at least 0 and `r1_every` at least 1, got {r1_weight} and {r1_every}; "
            "0 leaves the penalty out, StyleGAN2 has it in every 16th update."
        )
    if r1_weight and norm == "batch":
        raise ConfigError(
            f"`r1_weight` must be 0 with a discriminator of norm=batch, whose logits hang on the whole batch, got "
            f"{r1_weight}; choose model.discriminator.norm=spectral or none."
        )
