"""What LitProSRN and LitProSRGAN share: the generator with its average, validation, and what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from lightning import Callback, LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel
from torchmetrics import MeanMetric

from prosr_lightning import __version__
from prosr_lightning.data.resuming import EpochCounts
from prosr_lightning.errors import CheckpointError, ConfigError, TrainingError, require_whole
from prosr_lightning.imaging.factors import levels_up_to
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.lit.limits import EndOfRun
from prosr_lightning.lit.optimizers import average_of, expand_state
from prosr_lightning.metrics import SSIM_WINDOW, psnr, ssim
from prosr_lightning.networks.architecture import TARGET, describe, normalised
from prosr_lightning.networks.contract import SRNetwork, channels_last

Batch = dict[str, Any]


class LitSuperResolution(LightningModule):
    """Base of the LightningModules; see `LitProSRN` for the arguments.

    Logged: `val/psnr` and `val/ssim` (means over sets and `val_scales`), `val/<set>/x<scale>/psnr` and
    `val/<set>/x<scale>/ssim`.

    Attributes:
        title: What tables call a network that was trained so; None takes the network's own title.
        adversarial: Whether a discriminator takes part.
    """

    title: ClassVar[str | None] = None
    adversarial: ClassVar[bool] = False
    generator: SRNetwork

    advice = "Try a lower optimizer.lr, trainer.gradient_clip_val=0.1 or trainer.precision=32-true"  # on NaN
    clipping_key = "trainer.gradient_clip_val"  # where the clipping of gradients is set

    def __init__(
        self,
        *,
        generator: SRNetwork,
        levels: Sequence[int],
        val_scales: Sequence[int] | None,
        ema_decay: float,
        check_finite_every: int,
    ) -> None:
        super().__init__()
        if not isinstance(generator, SRNetwork):
            raise ConfigError(
                "`generator` must be of a subclass of prosr_lightning.networks.SRNetwork, got "
                f"{type(generator).__name__}; see docs/extending.md."
            )
        _check_levels(levels)
        if not 0 <= ema_decay < 1:
            raise ConfigError(f"`ema_decay` must be in [0, 1), got {ema_decay}; 0 switches the average off.")
        require_whole("check_finite_every", check_finite_every, remedy="1 is safe")
        self.generator = channels_last(generator)
        self.levels = tuple(levels)
        self.val_scales = tuple(val_scales or levels)
        for scale in self.val_scales:
            levels_up_to(scale)
        self.ema_decay = ema_decay
        self.ema_generator = AveragedModel(generator).requires_grad_(requires_grad=False) if ema_decay else None
        self.check_finite_every = check_finite_every
        self.run_config: dict[str, Any] = {}
        self.steps_done = 0
        self.val_means = nn.ModuleDict()
        self.first_bad_step: Tensor
        self.register_buffer("first_bad_step", torch.tensor(-1), persistent=False)

    @property
    def network(self) -> SRNetwork:
        """The network to validate, keep and use: the moving average where there is one."""
        return self.generator if self.ema_generator is None else cast(SRNetwork, self.ema_generator.module)

    def start_from(self, network: SRNetwork) -> None:
        """Take over the weights of a network of the same architecture, for the generator and its average."""
        self.generator.load_state_dict(network.state_dict())
        if self.ema_generator is not None:
            self.ema_generator.module.load_state_dict(network.state_dict())

    def configure_callbacks(self) -> list[Callback]:
        """Return what every run needs, however its trainer was made."""
        return [EndOfRun(), EpochCounts()]

    def setup(self, stage: str) -> None:
        """Prepare one mean per validation set and scale, the same on every device."""
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None:
            datamodule.validate_at(self.val_scales)
            for benchmark in datamodule.validation_sets():
                for scale in self.val_scales:
                    for measure in ("psnr", "ssim"):
                        self.val_means[_metric_key(benchmark.name, scale, measure)] = MeanMetric().to(self.device)

    def on_fit_start(self) -> None:
        """Refuse an optimizer that averages the weights without a place for its average.

        Raises:
            ConfigError: If there is none.
        """
        if self.ema_generator is None and self._optimizer_average() is not None:
            raise ConfigError(
                "`ema_decay` must be above 0 with a schedule-free optimizer, whose average stands in the place of the "
                "moving one, got 0; leave it at 0.999."
            )

    def on_validation_start(self) -> None:
        """Take over the average of an optimizer that keeps one."""
        self.take_optimizer_average()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Enlarge one image at every scale and score it, unrounded, by the convention of the tables."""
        if not batch["counts"]:
            return
        for scale in self.val_scales:
            hr = modcrop(batch["hr"], scale)
            lr = batch["lr"][scale].contiguous(memory_format=torch.channels_last)
            sr = self.network.enlarge(lr, scale)
            self.score_image(batch, scale, lr, sr, hr)

    def score_image(self, batch: Batch, scale: int, lr: Tensor, sr: Tensor, hr: Tensor) -> None:
        """Take one validation image at one scale into the means."""
        shown = min(hr.shape[-2:]) - 2 * scale >= SSIM_WINDOW  # SSIM needs a window, PSNR a pixel
        similarity = ssim(sr, hr, border=scale, kind="skimage").mean() if shown else 0.0
        for measure, value, weight in (
            ("psnr", psnr(sr, hr, border=scale).mean(), 1.0),
            ("ssim", similarity, float(shown)),
        ):
            cast(MeanMetric, self.val_means[_metric_key(batch["set"], scale, measure)]).update(value, weight=weight)

    def on_validation_epoch_end(self) -> None:
        """Log the means per set and scale, and the means of those."""
        means = {key: cast(MeanMetric, metric).compute() for key, metric in self.val_means.items()}
        for metric in self.val_means.values():
            cast(MeanMetric, metric).reset()
        for measure in ("psnr", "ssim"):  # NaN where every image was too small for SSIM
            own = {key: mean for key, mean in means.items() if key.endswith(f"/{measure}") and not mean.isnan()}
            for key, mean in own.items():
                self.log(f"val/{key}", mean)
            if own:
                self.log(f"val/{measure}", torch.stack(list(own.values())).mean(), prog_bar=measure == "psnr")

    def finish_step(self) -> None:
        """Move the average along and look for a loss that is not finite, after each update of the generator.

        Not a hook of Lightning's, because callbacks that save at the end of a batch run before the module's own hook.
        """
        if self.ema_generator is not None and self._optimizer_average() is None:
            self._update_average(self.ema_generator.module)
        self.steps_done += 1
        if self.steps_done % self.check_finite_every == 0:
            self.require_finite()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, also for a fused optimizer under bfloat16 autocast, where it refuses.

        It refuses because such an optimizer undoes the scaling of the loss by itself; without a scaler there is none.

        Args:
            optimizer: Its parameters have the gradients.
            gradient_clip_val: Largest norm or value; None or 0 does not clip.
            gradient_clip_algorithm: "value", or else the norm.

        Raises:
            ConfigError: With a scaler (precision 16-mixed), where clipping would see scaled gradients.
        """
        if not gradient_clip_val:
            return
        plugin = self.trainer.precision_plugin
        if getattr(plugin, "scaler", None) is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise ConfigError(
                f"`{self.clipping_key}` must be null with a fused optimizer in float16, got {gradient_clip_val}; "
                "set optimizer.fused=false or trainer.precision=bf16-mixed."
            )
        clip = plugin.clip_grad_by_value if gradient_clip_algorithm == "value" else plugin.clip_grad_by_norm
        clip(optimizer, gradient_clip_val)

    def note_loss(self, loss: Tensor) -> None:
        """Remember, without waiting for the device, the first training batch whose loss is not finite."""
        bad = self.first_bad_step
        step = torch.full_like(bad, self.steps_done)
        self.first_bad_step = torch.where((bad < 0) & ~torch.isfinite(loss.detach()), step, bad)

    def require_finite(self) -> None:
        """Stop if a loss was not finite, before the damage reaches a checkpoint.

        Raises:
            TrainingError: With the batch, and what to try.
        """
        step = int(self.first_bad_step)
        if step >= 0:
            epoch, number = self.current_epoch, step % max(1, int(self.trainer.num_training_batches))
            raise TrainingError(
                f"The loss must be finite, got NaN or infinity at training batch {step} (epoch {epoch}, "
                f"batch {number}); what was saved before is kept. {self.advice}, and look at the data of that batch."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what rebuilds the network and the run, as plain values."""
        self.require_finite()
        self.take_optimizer_average()  # in place: the state dict of the checkpoint is already that of these tensors
        checkpoint["prosr"] = {
            "architecture": self.generator.architecture,
            "config": self.run_config,
            "version": __version__,
            "steps_done": self.steps_done,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another architecture before any weight is touched.

        Raises:
            CheckpointError: If it is not a checkpoint of this package or of another architecture.
        """
        stored = checkpoint.get("prosr")
        if stored is None:
            raise CheckpointError(
                "The checkpoint must be one of prosr_lightning, got another program's; choose another."
            )
        expand_state(checkpoint)
        mine = self.generator.architecture
        theirs = normalised(stored["architecture"])
        if describe(theirs).partition("(")[0] == type(self.generator).__name__:
            theirs[TARGET] = mine[TARGET]  # its class may have moved to another module
        if theirs != mine:
            raise CheckpointError(
                f"The checkpoint must hold the architecture of this run, {describe(mine)}, got "
                f"{describe(stored['architecture'])}; choose the same settings, or another checkpoint."
            )
        keys = checkpoint["state_dict"].keys()
        averaged, mine_averaged = any(key.startswith("ema_generator.") for key in keys), self.ema_generator is not None
        if averaged != mine_averaged:
            raise CheckpointError(
                f"The checkpoint must {'hold' if mine_averaged else 'not hold'} a moving average, as this run does; "
                f"set model.ema_decay={'0.999' if averaged else '0'}, or start from its weights with init_from."
            )
        if "discriminator" in stored and not hasattr(self, "discriminator"):
            raise CheckpointError(
                "The checkpoint must be one of ProSRN, got one of ProSRGAN; choose experiment=prosrgan, or start from "
                "its weights with init_from."
            )
        self.steps_done = stored["steps_done"]

    @torch.no_grad()
    def take_optimizer_average(self) -> None:
        """Let the average of a schedule-free optimizer be the network to validate and keep (`lit.optimizers`)."""
        average = self._optimizer_average()
        if average is not None and self.ema_generator is not None:
            averaged = self.ema_generator.module
            for kept, own in zip(averaged.parameters(), self.generator.parameters(), strict=True):
                kept.copy_(average(own))
            self._copy_buffers(averaged)

    def _optimizer_average(self) -> Callable[[nn.Parameter], Tensor] | None:
        """Return what the generator's optimizer averages by; None where it does not."""
        optimizers = self.trainer.optimizers
        return average_of(optimizers[0]) if optimizers else None  # of a ProSRGAN too the generator's comes first

    @torch.no_grad()
    def _update_average(self, averaged: nn.Module) -> None:
        """Move the average along; its memory grows with the run, so that the random start is soon forgotten.

        AveragedModel's own update asks the device for its count, and waits for all work before it.
        """
        keep = min(self.ema_decay, (1 + self.steps_done) / (10 + self.steps_done))  # TensorFlow's warm-up
        torch._foreach_lerp_(list(averaged.parameters()), list(self.generator.parameters()), 1 - keep)
        self._copy_buffers(averaged)

    def _copy_buffers(self, averaged: nn.Module) -> None:
        """Take over what is no parameter: the statistics of batch norm, which are averages already, and its counts."""
        for kept, own in zip(averaged.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(own)


def _check_levels(levels: Sequence[int]) -> None:
    if not levels or list(levels) != sorted(set(levels)):
        raise ConfigError(f"`levels` must be one or more rising factors, got {list(levels)}; choose e.g. [2, 4].")
    for level in levels:
        levels_up_to(level)


def _metric_key(name: str, scale: int, measure: str) -> str:
    return f"{name.replace('.', '_')}/x{scale}/{measure}"
