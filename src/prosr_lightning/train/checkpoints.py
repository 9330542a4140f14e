"""Checkpoints that are written whole or not at all, on any file system, and those that another machine goes on from."""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH

from prosr_lightning.config.tree import PORTABLE
from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.lit.optimizers import compact_state
from prosr_lightning.networks import Trust
from prosr_lightning.networks.weights import load_network

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

_BEST_FILES = ("best_model_path", "kth_best_model_path", "last_model_path")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place and move it there when it is safely on the disk.

    Lightning's own goes through the temporary folder of the machine, from where a file is copied, not moved, to another
    file system: a kill or a full disk in between leaves half a checkpoint.

    Args:
        adapt: Changes what was read before the run goes on from it; None does not.
    """

    def __init__(self, *, adapt: Callable[[dict[str, Any]], None] | None = None) -> None:
        super().__init__()
        self._adapt = adapt

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  # Lightning's signature
        """Read a checkpoint, adapted to the run that goes on from it."""
        checkpoint: dict[str, Any] = super().load_checkpoint(*args, **kwargs)
        if self._adapt is not None:
            self._adapt(checkpoint)
        return checkpoint

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:  # noqa: ANN401  # Lightning's signature
        """Write a checkpoint.

        Raises:
            ConfigError: If it holds what no run could read again, in the state of a callback or an optimizer.
            StorageError: If the disk is full or the place cannot be written; what was there stays.
        """
        encoded = io.BytesIO()
        torch.save(checkpoint, encoded)
        encoded.seek(0)
        try:
            torch.load(encoded, map_location="meta", weights_only=True)
        except pickle.UnpicklingError as error:
            kind = re.search(r"GLOBAL ([\w.]+)", str(error))
            raise ConfigError(
                f"A checkpoint must hold tensors and plain values, got {kind[1] if kind else 'others'}; let the state "
                "of your callback, optimizer or scheduler be made of such values."
            ) from error
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            file.write(encoded.getbuffer())
            file.flush()
            os.fsync(file.fileno())


def read_state(path: Path, *, trust: Trust = ()) -> dict[str, Any]:
    """Read the whole state of a run.

    Raises:
        CheckpointError: If it cannot be read, or holds weights alone.
    """
    load_network(str(path), trust=trust)  # says what is wrong with the file
    state = {} if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    if not {"optimizer_states", "loops"} <= state.keys() or "steps_done" not in state.get("prosr", {}):
        raise CheckpointError(
            f"{path} must hold the whole state of a run, got weights alone; take a last.ckpt, or start from them with "
            f"init_from={path}."
        )
    for name, node, kind in (
        ("steps_done", state["prosr"]["steps_done"], int),
        ("loops.fit_loop", state["loops"].get("fit_loop") if isinstance(state["loops"], dict) else None, dict),
        ("optimizer_states", state["optimizer_states"], list),
        ("lr_schedulers", state.get("lr_schedulers"), list),
        ("callbacks", state.get("callbacks", {}), dict),
        ("config", state["prosr"].get("config", {}), dict),
    ):
        if not isinstance(node, kind) or isinstance(node, bool):
            raise CheckpointError(
                f"{path} must hold the state of a run as training saves it, but its {name} is {node!r}; take another."
            )
    return state


def relocate_best(checkpoint: dict[str, Any], folder: Path) -> None:
    """Let a run find its best weights so far in the folder that it goes on in; forget them where they are not there."""
    earlier = checkpoint["prosr"].get("config", {}).get("paths", {}).get("output_dir", "")
    for state in checkpoint.get("callbacks", {}).values():
        if not isinstance(state, dict) or not isinstance(state.get("dirpath"), str):
            continue
        before = Path(state["dirpath"])
        roots = [Path(earlier), Path(os.path.realpath(earlier))] if earlier else []
        inside = [root for root in roots if before.is_relative_to(root)]
        where = folder / before.relative_to(inside[0]) if inside else before
        state["dirpath"] = os.path.realpath(where)

        def moved(path: str, where: str = state["dirpath"]) -> str:
            return str(Path(where) / Path(path).name) if path else ""

        if Path(moved(state.get("best_model_path", ""))).is_file():
            state.update({key: moved(state[key]) for key in _BEST_FILES if key in state})
            state["best_k_models"] = {moved(path): score for path, score in state.get("best_k_models", {}).items()}
        else:
            forget_best(state)


def forget_best(state: Any) -> None:  # noqa: ANN401  # what a checkpoint holds
    """Make what a `ModelCheckpoint` remembers that of a run without any best weights."""
    if isinstance(state, dict) and "best_model_path" in state:
        state.update(_FORGOTTEN)


def write_portable(source: Path, target: Path, *, trust: Trust = ()) -> None:
    """Copy the whole state of a run without the folders of the machine that trained, compact if it is schedule-free.

    The best weights so far are forgotten, since their file stays behind: a run that goes on looks for them anew.

    Raises:
        CheckpointError: If the source is no whole state of a run.
        StorageError: If the target cannot be written.
    """
    state = cast(dict[str, Any], _portable(compact_state(read_state(source, trust=trust))))
    AtomicCheckpointIO().save_checkpoint(state, target)


def _portable(node: Any) -> Any:  # noqa: ANN401  # what a checkpoint holds
    if isinstance(node, list):
        return [_portable(item) for item in node]
    if isinstance(node, str) and Path(node).is_absolute():
        return Path(node).name
    if not isinstance(node, dict):
        return node
    changed = dict[Any, Any]()
    for key, value in node.items():
        if "best_model_path" in node and key in _FORGOTTEN:
            changed[key] = _FORGOTTEN[key]
        elif key in PORTABLE and isinstance(value, str):
            changed[key] = PORTABLE[key]
        else:
            changed[key] = _portable(value)
    return changed
