"""Turn a checkpoint into released weights: `python -m prosr_lightning.release best.ckpt prosrn --scores RUN ...`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning.console import add_trust, answer, run_reporting


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m prosr_lightning.release", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name", help="released name, such as prosrn")
    parser.add_argument("--scores", type=Path, required=True, help="folder of an evaluation: summary.csv and run.json")
    parser.add_argument("--training-data", required=True, help="what they were trained on, in one sentence")
    parser.add_argument("--licence", default="MIT", help="of the weights; default: MIT")
    parser.add_argument(
        "--state",
        type=Path,
        nargs=2,
        metavar=("LAST", "COPY"),
        help="also write the whole state in LAST, without the folders of this machine, to COPY",
    )
    add_trust(parser)
    options = parser.parse_args(arguments)

    def command() -> None:
        from prosr_lightning.release.task import release  # noqa: PLC0415  # imports torch
        from prosr_lightning.train.checkpoints import write_portable  # noqa: PLC0415  # and Lightning

        path = release(
            options.checkpoint,
            options.name,
            scores=options.scores,
            training_data=options.training_data,
            licence=options.licence,
            trust=options.trust,
        )
        answer(f"Released {path}")
        if options.state is not None:
            write_portable(*options.state, trust=options.trust)
            answer(f"Wrote {options.state[1]}, to go on from")

    return run_reporting(command)
