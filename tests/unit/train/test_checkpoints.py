"""Checkpoints that are read again by `weights_only=True`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prosr_lightning.errors import ConfigError
from prosr_lightning.train.checkpoints import AtomicCheckpointIO


class Own:
    """What the state of somebody's callback may hold."""


@pytest.mark.parametrize("value", [Own(), np.float32(1)], ids=["object", "numpy"])
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, value: object) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1, "weights": torch.ones(2)}, path)
    with pytest.raises(ConfigError, match=r"A checkpoint must hold tensors and plain values, got \S+; let the state"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2, "callbacks": {"own": value}}, path)
    assert torch.load(path, weights_only=True)["epoch"] == 1
