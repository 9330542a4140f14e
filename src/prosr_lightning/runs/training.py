"""What a training run's folder says of the network: read from `.hydra/config.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from prosr_lightning.errors import CheckpointError, DataError
from prosr_lightning.networks import build_network
from prosr_lightning.networks.architecture import TARGET


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network was built and trained.

    Attributes:
        method: The paper's name: "ProSRN", "ProSRGAN", "LapSRN", ...
        architecture: Plain values for `networks.build_network`.
        levels: The factors trained together.
        seed: Of the run; None if not known.
    """

    method: str
    architecture: Mapping[str, Any]
    levels: tuple[int, ...]
    seed: int | None = None

    @property
    def depth(self) -> int | None:
        """Convolutions of the feature extraction, where the network has such a number."""
        depth = self.architecture.get("depth")
        return depth if isinstance(depth, int) else None

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments in which the network differs from the paper's."""
        scale = {"scale": self.architecture["scale"]} if "scale" in self.architecture else {}
        mine = build_network(self.architecture).architecture
        default = build_network({TARGET: mine[TARGET], **scale}).architecture
        return {key: value for key, value in mine.items() if value != default[key]}


def read_training(folder: Path) -> Training | None:
    """Read how the network of a run folder was trained.

    Args:
        folder: Of a training run.

    Returns:
        None where the folder is no training run's.

    Raises:
        DataError: If its configuration cannot be read or describes no network of this package.
    """
    path = folder / ".hydra" / "config.yaml"
    if not path.is_file():
        return None
    try:
        cfg = OmegaConf.load(path)
        node = OmegaConf.select(cfg, "model.generator")
        if not isinstance(node, DictConfig):
            return None  # another command's, such as evaluate
        generator = cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))
        levels, seed = OmegaConf.select(cfg, "levels"), OmegaConf.select(cfg, "seed")
        scale = OmegaConf.select(cfg, "scale")
        adversarial = OmegaConf.select(cfg, "model.discriminator") is not None
    except Exception as error:  # YAML's and OmegaConf's errors have no common base
        raise DataError(f"{path} must be a run's configuration, but: {_first_line(error)}; repair it.") from error
    try:
        network = build_network(generator)
    except CheckpointError as error:
        raise DataError(f"{path} must describe a network of this package, but: {error}") from error
    if isinstance(scale, int):  # replaces the levels by those that the method learns for it
        levels = network.training_levels(scale)
    return Training(
        method="ProSRGAN" if adversarial else network.title,
        architecture=generator,
        levels=tuple(levels or ()),
        seed=seed if isinstance(seed, int) else None,
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
