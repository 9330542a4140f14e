"""A photograph as networks enlarge it, beside the original."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from prosr_lightning.config import conf_dir
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.errors import ConfigError
from prosr_lightning.evaluate.after_training import draw_comparison
from prosr_lightning.evaluate.running import evaluate_network
from prosr_lightning.imaging.degradation import Degradation
from prosr_lightning.imaging.io import write_rgb
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks import SRNetwork, Trust
from prosr_lightning.networks.weights import load_network


def named_degradation(name: str, *settings: str) -> Degradation:
    """Make a degradation of `conf/degradation`.

    Args:
        name: Its file, without `.yaml`.
        settings: Words such as `quality=50`.
    """
    words = [f"degradation={name}", *(f"degradation.{setting}" for setting in settings)]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        node = compose("evaluate", words, return_hydra_config=True).degradation
    degradation: Degradation = instantiate(node, _convert_="all")
    return degradation


def illustrate(
    image: Path,
    networks: Sequence[tuple[str, str]],
    scales: Sequence[int],
    out: Path,
    *,
    window: tuple[int, int] | None = None,
    degradation: Degradation | None = None,
    trust: Trust = (),
) -> None:
    """Draw bicubic and networks beside the original.

    Args:
        image: The photograph, which serves as the ground truth.
        networks: Caption and weights of each, as `load_network` takes them.
        scales: The factors, one row each.
        out: The drawing.
        window: Top and left of the crop; None finds the most detailed place.
        degradation: Makes LR; None for bicubic.
        trust: As `load_network`.

    Raises:
        CheckpointError: If weights cannot be loaded.
        ImageError: If the photograph cannot be read or is too small.
        StorageError: If the drawing cannot be written.
    """
    benchmark = Benchmark(name="photograph", images=(image,))
    methods: dict[str, SRNetwork | None] = {"bicubic": None}
    for caption, source in networks:
        network = load_network(source, trust=trust).network
        if Path(caption).name != caption:
            raise ConfigError(f"A caption must be a plain name, got {caption!r}; leave out the slashes.")
        methods[caption] = network
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scores = {
            method: evaluate_network(
                network, [benchmark], scales, PAPER, save_dir=folder / method / "images", degradation=degradation
            )
            for method, network in methods.items()
        }
        write_rgb(out, draw_comparison(scores, benchmark, scales, folder, window=window, degradation=degradation))
