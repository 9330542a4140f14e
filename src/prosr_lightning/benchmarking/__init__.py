"""Measurements of speed as ratios taken in one run: a library; `benchmark.py` is its command."""

from prosr_lightning.benchmarking.comparing import Comparison, Section, compare
from prosr_lightning.benchmarking.growth import check_largest
from prosr_lightning.benchmarking.patches import measure_data
from prosr_lightning.benchmarking.results import assemble, table, write_result
from prosr_lightning.benchmarking.training import measure_training
from prosr_lightning.benchmarking.upscaling import measure_upscaling

__all__ = [
    "Comparison",
    "Section",
    "assemble",
    "check_largest",
    "compare",
    "measure_data",
    "measure_training",
    "measure_upscaling",
    "table",
    "write_result",
]
