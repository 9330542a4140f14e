from __future__ import annotations

from functools import partial

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger

from prosr_lightning.data.photographs import FolderDataModule
from prosr_lightning.lit.prosrn import LitProSRN
from prosr_lightning.networks import Generator


@pytest.fixture
def make_data(tmp_path, photographs):
    def make(**changes) -> FolderDataModule:
        paths = photographs((64, 64), (48, 80), (40, 40))
        settings = {
            "train_dir": paths[0].parent,
            "data_dir": tmp_path,
            "val_sets": [str(paths[0].parent)],
            "levels": [2, 4],
            "crop": 16,
            "batch_size": 2,
            "patches_per_epoch": 8,
            "num_workers": 0,
            "cache_dir": tmp_path / "cache",
            "val_limit": 1,
            "seed": 3,
        }
        return FolderDataModule(**(settings | changes))

    return make


@pytest.fixture
def make_module():
    def make(**changes) -> LitProSRN:
        torch.manual_seed(0)
        settings = {
            "generator": Generator(depth=2, channels=4),
            "optimizer": partial(torch.optim.Adam, lr=1e-3),
            "levels": [2, 4],
            "ema_decay": 0.9,
        }
        return LitProSRN(**(settings | changes))

    return make


@pytest.fixture
def make_trainer(tmp_path):
    def make(**changes) -> Trainer:
        settings = {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 1,
            "logger": CSVLogger(tmp_path, name="csv"),
            "log_every_n_steps": 1,
            "num_sanity_val_steps": 0,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "default_root_dir": tmp_path,
        }
        return Trainer(**(settings | changes))

    return make
