"""The devices of a sweep: one for each job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.errors import ConfigError
from prosr_lightning.runs.folder import take_lock


def require_one_device(cfg: DictConfig) -> None:
    """Refuse several devices: each would start the whole sweep once more, in folders of its own.

    Raises:
        ConfigError: With the reason and what to do instead.
    """
    devices, nodes = OmegaConf.select(cfg, "trainer.devices"), OmegaConf.select(cfg, "trainer.num_nodes") or 1
    if isinstance(devices, str):
        single = re.fullmatch(r"1|\d+,", devices.strip()) is not None  # "3," is the device number 3
    else:
        single = len(devices) == 1 if OmegaConf.is_list(devices) else devices == 1
    if single and nodes == 1:
        return
    asked = f"trainer.devices={devices}" + ("" if nodes == 1 else f", trainer.num_nodes={nodes}")
    raise ConfigError(
        f"A job of a sweep must use one device, got {asked}: the processes for the other devices would start the sweep "
        "again, in folders of their own. Set trainer.devices=1 and run jobs side by side with hydra/launcher=joblib or "
        "hydra/launcher=slurm, or train each setting without -m."
    )


@contextmanager
def own_gpu(cfg: DictConfig, sweep: Path) -> Iterator[None]:
    """Give a job that runs beside others on this machine a GPU of its own, or the least bad one if all are taken.

    Args:
        cfg: Of the job; `trainer.devices` becomes the number of the GPU, where joblib launched it on several.
        sweep: Folder of the sweep, which holds a lock for each GPU.
    """
    hydra = HydraConfig.get()
    beside = "joblib" in str(hydra.launcher._target_) and cfg.trainer.devices == 1
    count = _gpus() if beside and str(cfg.trainer.accelerator) in ("auto", "gpu", "cuda") else 0
    if count < 2:
        yield
        return
    lock = _free(sweep, count)
    cfg.trainer.devices = [int(hydra.job.num) % count if lock is None else lock[0]]
    try:
        yield
    finally:
        if lock is not None:
            lock[1].release()


def _gpus() -> int:
    import torch  # noqa: PLC0415  # takes seconds, and is needed beside other jobs only

    return torch.cuda.device_count()


def _free(sweep: Path, count: int) -> tuple[int, FileLock] | None:
    """Return the number of a GPU that no other job uses, and what keeps it so; None where nothing can tell."""
    for number in range(count):
        with suppress(Timeout):  # another job has it
            lock = take_lock(sweep / f".gpu{number}.lock")
            return None if lock is None else (number, lock)
    return None
