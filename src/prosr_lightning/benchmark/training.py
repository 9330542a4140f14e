"""Training: the samples per second of the real thing over those of a bare loop on ready tensors."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn

from prosr_lightning.benchmark.comparing import Section
from prosr_lightning.benchmark.yardstick import wait
from prosr_lightning.losses import content_loss

Prepare = Callable[[Path, Sequence[Callback]], tuple[Trainer, LightningModule, Any]]


class StepClock(Callback):
    """Time training batches between the first ones, which warm up, and the last.

    Args:
        warmup: Batches that do not count.
    """

    def __init__(self, *, warmup: int) -> None:
        self.warmup, self.batches = warmup, 0
        self._begun = 0.0
        self._ended = 0.0

    @property
    def seconds(self) -> float:
        """The time of the batches that count."""
        return self._ended - self._begun

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *arguments: object) -> None:
        """Note the time, when the device is done."""
        self.batches += 1
        if self.batches in (self.warmup, trainer.max_steps):
            wait(pl_module.device)
            if self.batches == self.warmup:
                self._begun = time.perf_counter()
            self._ended = time.perf_counter()


def measure_training(
    prepare: Prepare,
    network: Callable[[], nn.Module],
    *,
    crop: int,
    batch_size: int,
    precision: str,
    clip: float,
    steps: int,
    rounds: int,
    compile: bool = False,
) -> Section:
    """Compare `Trainer.fit`, with data, average, log and progress bar, with a bare loop on random tensors.

    Args:
        prepare: Takes a folder and callbacks, and returns trainer, module and data module of a run of `steps` updates.
        network: Makes the 2x network of that run.
        crop: Side of the HR patches.
        batch_size: Patches in a batch.
        precision: "32-true" or "bf16-mixed".
        clip: Largest norm of the gradient, in both.
        steps: Updates of a round, 2 or more: the first fifth warms up.
        rounds: How often each is measured, in turns.
        compile: Compile the network of the bare loop, as the run does its own.

    Returns:
        The comparison.
    """
    settings = {"crop": crop, "batch_size": batch_size, "precision": precision, "steps": steps, "compile": compile}
    section = Section(name="train", settings=settings)
    warmup = max(1, steps // 5)
    measured, against = [], []
    for _ in range(rounds):
        clock = StepClock(warmup=warmup)
        with tempfile.TemporaryDirectory() as folder:
            trainer, module, data = prepare(Path(folder), [clock])
            trainer.fit(module, datamodule=data)
        measured.append((steps - warmup) * batch_size / clock.seconds)
        bare = network()
        if compile:
            bare.compile()
        loop = _bare_loop(bare, module.device, crop, batch_size, precision, clip)
        loop(warmup)
        begun = time.perf_counter()
        loop(steps - warmup)
        against.append((steps - warmup) * batch_size / (time.perf_counter() - begun))
    section.add("trainer.fit over a bare loop", "HR patches/s", tuple(measured), tuple(against), goal=0.95)
    return section


def _bare_loop(
    network: nn.Module, device: torch.device, crop: int, batch_size: int, precision: str, clip: float
) -> Callable[[int], None]:
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks it
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    lr = torch.rand(batch_size, 1, crop // 2, crop // 2, device=device).contiguous(memory_format=torch.channels_last)
    hr = torch.rand(batch_size, 1, crop, crop, device=device)

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
                loss = content_loss(network(lr), hr)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
        wait(device)

    return run
