"""Hydra at the edge: where `conf/` is, what its keys may be, and what its errors mean."""

from prosr_lightning.config.command import hydra_main
from prosr_lightning.config.location import conf_dir
from prosr_lightning.config.messages import user_message
from prosr_lightning.config.schema import validate

__all__ = ["conf_dir", "hydra_main", "user_message", "validate"]
