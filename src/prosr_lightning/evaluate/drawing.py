"""A photograph as networks enlarge it, beside the original."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from prosr_lightning.config import conf_dir
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.errors import ConfigError
from prosr_lightning.evaluate.after_training import draw_comparison
from prosr_lightning.evaluate.methods import Peer
from prosr_lightning.evaluate.peers import peer_name
from prosr_lightning.evaluate.running import evaluate_network, evaluate_peer
from prosr_lightning.imaging.degradation import Degradation
from prosr_lightning.imaging.io import write_rgb
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks import SRNetwork, Trust
from prosr_lightning.networks.weights import load_network
from prosr_lightning.runs.scores import ImageScore


def named(group: str, name: str, *settings: str) -> Any:  # noqa: ANN401  # what the file names
    """Make what a file of a group of `conf` names.

    Args:
        group: Of what: "degradation" or "peer".
        name: The file, without `.yaml`.
        settings: Words such as `quality=50`.
    """
    words = [f"{group}={name}", *(f"{group}.{setting}" for setting in settings)]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        node = compose("evaluate", words, return_hydra_config=True)[group]
    return instantiate(node, _convert_="all")


def illustrate(
    image: Path,
    networks: Sequence[tuple[str, str]],
    scales: Sequence[int],
    out: Path,
    *,
    window: tuple[int, int] | None = None,
    degradation: Degradation | None = None,
    peers: Sequence[Peer] = (),
    trust: Trust = (),
) -> None:
    """Draw bicubic, other programs and networks beside the original.

    Args:
        image: The photograph, which serves as the ground truth.
        networks: Caption and weights of each, as `load_network` takes them.
        scales: The factors, one row each.
        out: The drawing.
        window: Top and left of the crop; None finds the most detailed place.
        degradation: Makes LR; None for bicubic.
        peers: The other programs, see `evaluate.peers`.
        trust: As `load_network`.

    Raises:
        CheckpointError: If weights cannot be loaded.
        ImageError: If the photograph cannot be read or is too small.
        StorageError: If the drawing cannot be written.
    """
    benchmark = Benchmark(name="photograph", images=(image,))
    methods: dict[str, SRNetwork | None] = {"bicubic": None}
    programs = {peer_name(peer): peer for peer in peers}
    for caption, source in networks:
        network = load_network(source, trust=trust).network
        if Path(caption).name != caption:
            raise ConfigError(f"A caption must be a plain name, got {caption!r}; leave out the slashes.")
        methods[caption] = network
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def score(
            evaluate: Callable[..., list[ImageScore]], methods: Mapping[str, object]
        ) -> dict[str, list[ImageScore]]:
            return {
                name: evaluate(
                    method, [benchmark], scales, PAPER, save_dir=folder / name / "images", degradation=degradation
                )
                for name, method in methods.items()
            }

        scores = score(evaluate_peer, programs) | score(evaluate_network, methods)
        write_rgb(out, draw_comparison(scores, benchmark, scales, folder, window=window, degradation=degradation))
