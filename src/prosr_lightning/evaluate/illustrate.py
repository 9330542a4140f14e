"""Draw what networks make of a photograph: `python -m prosr_lightning.illustrate -i photo.png -s 4 -o out.png`.

The photograph is shrunk by the protocol, enlarged by bicubic and by each network, and crops stand side by side with LR,
the original and PSNR.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning.console import add_trust, answer, run_reporting
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.errors import ConfigError
from prosr_lightning.evaluate.after_training import draw_comparison
from prosr_lightning.evaluate.running import evaluate_network
from prosr_lightning.imaging.io import write_rgb
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks import SRNetwork, Trust
from prosr_lightning.networks.weights import load_network


def illustrate(
    image: Path,
    networks: Sequence[tuple[str, str]],
    scales: Sequence[int],
    out: Path,
    *,
    window: tuple[int, int] | None = None,
    trust: Trust = (),
) -> None:
    """Draw bicubic and networks beside the original.

    Args:
        image: The photograph, which serves as the ground truth.
        networks: Caption and weights of each, as `load_network` takes them.
        scales: The factors, one row each.
        out: The drawing.
        window: Top and left of the crop; None finds the most detailed place.
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
            method: evaluate_network(network, [benchmark], scales, PAPER, save_dir=folder / method / "images")
            for method, network in methods.items()
        }
        write_rgb(out, draw_comparison(scores, benchmark, scales, folder, window=window))


def _split(word: str) -> tuple[str, str]:
    """Split CAPTION=WEIGHTS; without a caption it is the file's name."""
    caption, equals, source = word.partition("=")
    return (caption, source) if equals else (Path(word).stem, word)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m prosr_lightning.illustrate", description=__doc__)
    parser.add_argument("-i", "--input", type=Path, required=True, help="a photograph, which serves as the original")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the drawing")
    parser.add_argument("-s", "--scale", type=int, nargs="+", default=[4], help="one row each; default: 4")
    parser.add_argument(
        "-n", "--model", nargs="+", default=["prosrn"], metavar="[CAPTION=]WEIGHTS", help="released names or files"
    )
    parser.add_argument("--window", type=int, nargs=2, metavar=("TOP", "LEFT"), help="where to crop")
    add_trust(parser)
    options = parser.parse_args(arguments)
    networks = [_split(word) for word in options.model]

    def command() -> None:
        window = tuple(options.window) if options.window else None
        illustrate(options.input, networks, options.scale, options.output, window=window, trust=options.trust)
        answer(f"Drawing: {options.output}")

    return run_reporting(command)
