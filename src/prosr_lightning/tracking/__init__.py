"""Tracking of runs in Weights & Biases, which is imported only by runs that ask for it."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from prosr_lightning.tracking.runs import begin as begin
    from prosr_lightning.tracking.runs import finished as finished
    from prosr_lightning.tracking.runs import summarise as summarise
    from prosr_lightning.tracking.weights_and_biases import Identity as Identity
    from prosr_lightning.tracking.weights_and_biases import WeightsAndBiases as WeightsAndBiases

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "runs": ["begin", "finished", "summarise"],
        "weights_and_biases": ["Identity", "WeightsAndBiases"],
    },
)

AXIS = "steps"  # updates of the generator: the one x axis of everything that is logged
