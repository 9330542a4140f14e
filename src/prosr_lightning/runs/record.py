"""What one training run came to: `record.json` in its folder, and a line of the sweep's table."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prosr_lightning import __version__
from prosr_lightning.errors import CheckpointError, DataError
from prosr_lightning.imaging.io import write_json
from prosr_lightning.runs.processor import cpu_name

if TYPE_CHECKING:  # they import torch, and a record is read by commands that need none
    import torch

    from prosr_lightning.networks import SRNetwork

FILE_NAME = "record.json"
_BICUBIC = "prosr_lightning.imaging.degradation.Bicubic"
_PACKAGES = ("torch", "lightning", "torchmetrics", "hydra-core", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What one training run came to.

    Attributes:
        status: "finished", "stopped" (by a signal) or "failed"; "unfinished" of a run that has left no record.
        name: Readable, from what the run changed: `memory-d10-x2_x4`.
        overrides: The words of the command line, as Hydra composed them for this run.
        command: The words that started the process, the program first.
        task: The `task_name`.
        tags: What the run is found by.
        notes: What its user says of it.
        error: The message of a failed run.
        seed: Of weights, patches and augmentation.
        method: What tables call it: "ProSRN", "ProSRGAN", "LapSRN", ...
        network: The network's class.
        architecture: The network's class as "_target_" and its arguments, for `networks.build_network`.
        parameters: Learned values.
        layers: Convolutions that exist, the count of Table 1.
        levels: The factors trained together.
        scales: The factors of `test`.
        steps: Updates in all, also before a resumption.
        samples: HR patches seen in all.
        seconds: Wall time of the training, also before a resumption; scoring is not counted.
        cpu_seconds: Processor time of the same, over all cores.
        val: The last value of everything logged below `val/`, and the best of what `callbacks.best` monitors as `best`.
        test: PSNR in dB and SSIM of the best weights: `Set5/x2/psnr`, `Set5/x2/ssim`.
        protocol: The name of the convention that `test` was scored by.
        checkpoint: The best weights, relative to the run folder.
        best_step: The update whose weights are kept as the best.
        hardware: Processor, threads, accelerator, torch: what the times depend on.
        commit: Of the checkout that trained, with "+" where files were changed; empty of an installed package.
        packages: The versions of those that the result depends on.
        config: The configuration, resolved to plain values.
        choices: The chosen option of each configuration group.
        data: What it trained and validated on, `PatchDataModule.contents`.
        version: Of this package.
    """

    status: str
    name: str
    overrides: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    task: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    error: str = ""
    seed: int | None = None
    method: str = ""
    network: str = ""
    architecture: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    layers: int | None = None
    levels: tuple[int, ...] = ()
    scales: tuple[int, ...] = ()
    steps: int | None = None
    samples: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    val: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""
    checkpoint: str = ""
    best_step: int | None = None
    hardware: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    @property
    def minutes(self) -> float | None:
        """Wall time of the training."""
        return None if self.seconds is None else self.seconds / 60

    def build(self) -> SRNetwork | None:
        """Return the network with fresh weights; None where it is not of this package."""
        from prosr_lightning.networks import build_network  # noqa: PLC0415  # as above

        try:
            return build_network(self.architecture)
        except CheckpointError:
            return None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The arguments in which the network differs from the paper's, and the degradation if it is not bicubic."""
        network = self.build()
        if network is None:
            return {}
        target = self.setting("degradation._target_")
        degradation = {} if target in (None, _BICUBIC) else {"degradation": self.choices.get("degradation", target)}
        own = network.architecture
        paper = type(network)(**{key: own[key] for key in own.keys() & {"scale"}}).architecture
        return {key: value for key, value in own.items() if value != paper[key]} | degradation

    def setting(self, key: str) -> Any:  # noqa: ANN401  # whatever the configuration holds
        """Return a value of the configuration by its dotted key; None where there is none."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    @property
    def words(self) -> dict[str, str]:
        """The words of the command line, by key."""
        return dict(word.lstrip("+~").partition("=")[::2] for word in self.overrides)

    def value(self, key: str) -> str:
        """Return what a key was set to, by the command line, the choice of a group or the configuration."""
        value = self.words.get(key, self.choices.get(key, self.setting(key)))
        return "" if value is None or isinstance(value, Mapping) else str(value).replace(" ", "")


def write_record(folder: Path, record: RunRecord) -> Path:
    """Write `record.json`, replacing an earlier one only when the new one is complete.

    Returns:
        The path of the file.

    Raises:
        StorageError: If it cannot be written.
    """
    write_json(folder / FILE_NAME, asdict(record))
    return folder / FILE_NAME


def read_record(folder: Path) -> RunRecord | None:
    """Read `record.json`.

    Returns:
        None if there is no such file.

    Raises:
        DataError: If it holds something else.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {attribute.name for attribute in fields(RunRecord)}
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
        }
        return RunRecord(**kept)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} must hold the record of a run, but: {error!r}; train again or remove it.") from error


def readable_record(folder: Path) -> RunRecord | None:
    """Read `record.json`; one that is damaged counts as none."""
    with suppress(DataError):
        return read_record(folder)
    return None


def describe_hardware(device: str | torch.device = "cpu") -> dict[str, str]:
    """Return what times depend on: processor, threads, memory, accelerator and torch.

    Examples:
        >>> sorted(describe_hardware())
        ['cores', 'cpu', 'device', 'memory', 'threads', 'torch']
    """
    import torch  # noqa: PLC0415  # as above

    device = torch.device(device)
    return {
        "cpu": cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "memory": _memory(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
    }


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a result depends on."""
    return {name: metadata.version(name) for name in _PACKAGES}


def git_commit() -> str:
    """Return the commit of the checkout that this package lies in, "+" added where files were changed."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if not git("ls-files", "--error-unmatch", Path(__file__).name):  # installed below somebody else's checkout
            return ""
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except OSError:  # no git
        return ""


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return "unknown"
