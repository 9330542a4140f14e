"""Draw what networks make of a photograph: `python -m prosr_lightning.illustrate -i photo.png -s 4 -o out.png`.

The photograph is shrunk by the protocol, or degraded as `--degradation jpeg quality=50` says, enlarged by bicubic, by
each program and by each network, and crops stand side by side with LR, the original and PSNR.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning import DEFAULT_MODEL
from prosr_lightning.console import add_trust, answer, run_reporting


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
        "-n", "--model", nargs="+", default=[DEFAULT_MODEL], metavar="[CAPTION=]WEIGHTS", help="released names or files"
    )
    parser.add_argument("--window", type=int, nargs=2, metavar=("TOP", "LEFT"), help="where to crop")
    parser.add_argument(
        "--degradation",
        nargs="+",
        default=["bicubic"],
        metavar=("NAME", "KEY=VALUE"),
        help="what makes LR, of conf/degradation, and its settings; default: bicubic",
    )
    parser.add_argument(
        "--peer",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "KEY=VALUE"),
        help="another program too, of conf/peer, and its settings: lanczos, nlmeans, realesrgan; can be given again",
    )
    add_trust(parser)
    options = parser.parse_args(arguments)
    networks = [_split(word) for word in options.model]

    def command() -> None:
        from prosr_lightning.evaluate.drawing import illustrate, named  # noqa: PLC0415  # imports torch

        window = tuple(options.window) if options.window else None
        illustrate(
            options.input,
            networks,
            options.scale,
            options.output,
            window=window,
            degradation=named("degradation", *options.degradation),
            peers=[named("peer", *words) for words in options.peer],
            trust=options.trust,
        )
        answer(f"Drawing: {options.output}")

    def explanation(error: BaseException) -> str | None:
        from prosr_lightning.config.messages import user_message  # noqa: PLC0415  # imports Hydra

        return user_message(error)

    return run_reporting(command, explanation)
