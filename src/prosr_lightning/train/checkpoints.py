"""Checkpoints that are written whole or not at all, on any file system, and those that another machine goes on from."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH

from prosr_lightning.errors import CheckpointError
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.lit.optimizers import compact_state
from prosr_lightning.networks import Trust
from prosr_lightning.networks.weights import load_network

# What names a folder in a checkpoint, and what stands there in a portable one.
_FOLDERS = {
    "train_dir": "data/train",
    "data_dir": "data",
    "cache_dir": "~/.cache/prosr_lightning",
    "log_dir": "logs",
    "output_dir": "run",
    "default_root_dir": "run",
    "save_dir": "run",
    "dirpath": "run/checkpoints",
    "init_from": None,
    "ckpt_path": None,
}
# What ModelCheckpoint remembers of files that are not there any more.
_FORGOTTEN: dict[str, Any] = {
    "best_model_score": None,
    "best_model_path": "",
    "current_score": None,
    "best_k_models": {},
    "kth_best_model_path": "",
    "kth_value": torch.tensor(-torch.inf),
    "last_model_path": "",
}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place and move it there when it is safely on the disk.

    Lightning's own goes through the temporary folder of the machine, from where a file is copied, not moved, to another
    file system: a kill or a full disk in between leaves half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:  # noqa: ANN401  # Lightning's signature
        """Write a checkpoint.

        Args:
            checkpoint: Tensors and plain values.
            path: The file.
            storage_options: Not used.

        Raises:
            StorageError: If the disk is full or the place cannot be written; what was there stays.
        """
        encoded = io.BytesIO()
        torch.save(checkpoint, encoded)
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            file.write(encoded.getbuffer())
            file.flush()
            os.fsync(file.fileno())


def read_state(path: Path, *, trust: Trust = ()) -> dict[str, Any]:
    """Read the whole state of a run.

    Args:
        path: A checkpoint of training.
        trust: As `weights.load_network`.

    Raises:
        CheckpointError: If it cannot be read, or holds weights alone.
    """
    load_network(path, trust=trust)  # says what is wrong with the file
    state = {} if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    if not {"optimizer_states", "loops"} <= state.keys() or "steps_done" not in state.get("prosr", {}):
        raise CheckpointError(
            f"{path} must hold the whole state of a run, got weights alone; take a last.ckpt, or start from them with "
            f"init_from={path}."
        )
    return state


def write_portable(source: Path, target: Path) -> None:
    """Copy the whole state of a run without the folders of the machine that trained, compact if it is schedule-free.

    The best weights so far are forgotten, since their file stays behind: a run that goes on looks for them anew.

    Args:
        source: A checkpoint of training, `last.ckpt`.
        target: The file to write.

    Raises:
        CheckpointError: If the source is no whole state of a run.
        StorageError: If the target cannot be written.
    """
    state = cast(dict[str, Any], _portable(compact_state(read_state(source))))
    AtomicCheckpointIO().save_checkpoint(state, target)


def _portable(node: Any) -> Any:  # noqa: ANN401  # what a checkpoint holds
    if isinstance(node, list):
        return [_portable(one) for one in node]
    if isinstance(node, str) and Path(node).is_absolute():
        return Path(node).name
    if not isinstance(node, dict):
        return node
    changed = dict[Any, Any]()
    for key, value in node.items():
        if "best_model_path" in node and key in _FORGOTTEN:
            changed[key] = _FORGOTTEN[key]
        elif key in _FOLDERS and isinstance(value, str):
            changed[key] = _FOLDERS[key]
        else:
            changed[key] = _portable(value)
    return changed
