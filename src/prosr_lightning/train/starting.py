"""The weights of a trained network that a run begins with."""

from __future__ import annotations

import logging
from pathlib import Path

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from prosr_lightning.errors import CheckpointError
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.networks import Trust
from prosr_lightning.networks.architecture import describe
from prosr_lightning.networks.weights import load_network
from prosr_lightning.released import released_names

log = logging.getLogger(__name__)


def start_of(cfg: DictConfig) -> str | None:
    """Return the weights that `init_from` names; None without, and where a resumed run's start is there no longer."""
    if cfg.init_from is None:
        return None
    start = str(cfg.init_from)
    if cfg.ckpt_path is not None and start not in released_names() and not Path(start).expanduser().is_file():
        return None
    return start


def start_from(name_or_path: str, module: LitSuperResolution, *, trust: Trust = ()) -> None:
    """Take over the weights of a trained network.

    Raises:
        CheckpointError: If they are of another architecture, or cannot be read.
    """
    start = load_network(name_or_path, trust=trust).network
    mine = module.generator.architecture
    if start.architecture != mine:
        raise CheckpointError(
            f"init_from must hold the architecture of this run, {describe(mine)}, got {describe(start.architecture)} "
            f"in {name_or_path}; choose the same settings, other weights, or init_from=null for a fresh network."
        )
    module.start_from(start)
    rank_zero_only(log.info)(
        "Starting from %s; init_from=FILE names other weights, init_from=null a fresh network",
        f"the released {name_or_path}" if name_or_path in released_names() else name_or_path,
    )
