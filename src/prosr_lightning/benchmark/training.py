"""Training: the samples per second of the real thing over those of a bare loop on ready tensors."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer
from torch import nn

from prosr_lightning.benchmark.comparing import Section
from prosr_lightning.benchmark.yardstick import wait
from prosr_lightning.config import conf_dir
from prosr_lightning.losses import content_loss
from prosr_lightning.networks import Generator
from prosr_lightning.networks.contract import channels_last

_CLIP = 0.1  # of the gradient, as budget=cpu


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
    *,
    photographs: Path | None,
    device: torch.device,
    crop: int,
    batch_size: int,
    precision: str,
    steps: int,
    rounds: int,
    workers: int,
    compile: bool = False,
) -> Section:
    """Compare `Trainer.fit`, with data, average, log and progress bar, with a bare loop on random tensors.

    Args:
        photographs: Folder to train on; None takes the sample.
        device: Where.
        crop: Side of the HR patches.
        batch_size: Patches in a batch.
        precision: "32-true" or "bf16-mixed".
        steps: Updates of a round, 2 or more: the first fifth warms up.
        rounds: How often each is measured, in turns.
        workers: Loading processes of the run.
        compile: Compile the network, in both.

    Returns:
        The comparison.
    """
    settings = {"crop": crop, "batch_size": batch_size, "precision": precision, "steps": steps, "compile": compile}
    section = Section(name="train", settings=settings)
    words = [
        f"trainer={'cpu' if device.type == 'cpu' else 'gpu'}",
        f"trainer.devices={1 if device.index is None else [device.index]}",
        "budget=cpu",
        "data=sample" if photographs is None else "data=folder",
        f"trainer.max_steps={steps}",
        "trainer.max_time=null",
        f"trainer.precision={precision}",
        f"trainer.gradient_clip_val={_CLIP}",
        f"data.crop={crop}",
        "data.on_bad_image=skip",  # as when the patches are measured
        f"data.batch_size={batch_size}",
        f"data.num_workers={workers}",
        f"data.patches_per_epoch={batch_size * steps * 2}",  # no validation among the steps
        f"model.compile={str(compile).lower()}",
    ]
    warmup = max(1, steps // 5)
    measured, against = [], []
    for _ in range(rounds):
        clock = StepClock(warmup=warmup)
        with tempfile.TemporaryDirectory() as folder:
            trainer, module, data = _prepare([*words, f"paths.output_dir={folder}"], photographs, clock)
            trainer.fit(module, datamodule=data)
        measured.append((steps - warmup) * batch_size / clock.seconds)
        network = Generator()
        if compile:
            network.compile()
        loop = _bare_loop(network, module.device, crop, batch_size, precision)
        loop(warmup)
        begun = time.perf_counter()
        loop(steps - warmup)
        against.append((steps - warmup) * batch_size / (time.perf_counter() - begun))
    section.add("trainer.fit over a bare loop", "HR patches/s", tuple(measured), tuple(against), goal=0.95)
    return section


def _prepare(words: list[str], photographs: Path | None, clock: StepClock) -> tuple[Trainer, LightningModule, Any]:
    """Return trainer, module and data module as the command line `words` of a training has them."""
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        cfg = compose("train", overrides=words)
    if photographs is not None:
        cfg.data.train_dir = str(photographs)
    build = partial(instantiate, _convert_="all")
    trainer = build(
        cfg.trainer,
        callbacks=[*(build(node) for node in cfg.callbacks.values() if node is not None), clock],
        logger=[build(node) for node in cfg.logger.values()],
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    return trainer, build(cfg.model), build(cfg.data)


def _bare_loop(
    network: nn.Module, device: torch.device, crop: int, batch_size: int, precision: str
) -> Callable[[int], None]:
    network = channels_last(network.to(device))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    lr = torch.rand(batch_size, 1, crop // 2, crop // 2, device=device).contiguous(memory_format=torch.channels_last)
    hr = torch.rand(batch_size, 1, crop, crop, device=device)

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
                loss = content_loss(network(lr), hr)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
            optimizer.step()
        wait(device)

    return run
