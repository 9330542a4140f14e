"""Checkpoints that are written whole or not at all, on any file system."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH

from prosr_lightning.imaging.io import atomic_path


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
