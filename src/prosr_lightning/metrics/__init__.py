"""Metrics of single images, and the named conventions of the published tables (`protocol`)."""

from __future__ import annotations

from prosr_lightning.metrics.fidelity import SSIM_WINDOW, SSIMKind, psnr, quantize_8bit, ssim

__all__ = ["SSIM_WINDOW", "SSIMKind", "psnr", "quantize_8bit", "ssim"]
