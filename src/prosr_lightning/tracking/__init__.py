"""Tracking of runs in Weights & Biases, which is imported only by runs that ask for it."""

from prosr_lightning.tracking.runs import begin, finished, summarise
from prosr_lightning.tracking.weights_and_biases import AXIS, Identity, WeightsAndBiases

__all__ = ["AXIS", "Identity", "WeightsAndBiases", "begin", "finished", "summarise"]
