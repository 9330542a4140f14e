"""Losses: one pure function for each equation, on luminance tensors."""

from __future__ import annotations

from prosr_lightning.losses.content import (
    EPS,
    cascade,
    charbonnier,
    content_loss,
    residual_loss,
    squared_error,
)

__all__ = ["EPS", "cascade", "charbonnier", "content_loss", "residual_loss", "squared_error"]
