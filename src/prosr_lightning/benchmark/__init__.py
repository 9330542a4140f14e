"""Measure speed as ratios taken in one run: `python -m prosr_lightning.benchmark`.

Each ratio has two things that were measured in turns: the network against the machine's own matrix product, training
against a bare loop, patches against the usual way. The median of the rounds is printed; the file has the raw rates.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning import DEFAULT_MODEL
from prosr_lightning.console import add_trust, answer, run_reporting, say
from prosr_lightning.imaging.io import write_json
from prosr_lightning.tables import terminal

PARTS = ("train", "data", "upscale")
NETWORKS = "networks"  # no part of "all": it is asked for with what to compare
FILES = "files"  # no part of "all": it takes minutes and gigabytes of a disk


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prosr_lightning.benchmark", description=__doc__)
    parser.add_argument("part", nargs="?", choices=(*PARTS, NETWORKS, FILES, "all"), default="all")
    parser.add_argument("-o", "--output", type=Path, help="JSON file; default: logs/benchmark/TIME.json")
    parser.add_argument("-n", "--name", default=DEFAULT_MODEL, help="2x network to enlarge with; default: %(default)s")
    parser.add_argument(
        "--beside",
        nargs="+",
        default=[],
        metavar="NAME",
        help="of networks: others, and exported .onnx, to compare with it",
    )
    parser.add_argument(
        "--engines",
        nargs="+",
        default=[],
        choices=("onnxruntime", "openvino", "ncnn", "opencv"),
        help="of networks and files: others than PyTorch to run them with; of files without opencv",
    )
    parser.add_argument(
        "--photographs", "--train-dir", type=Path, help="folder to train on and to cut from; default: samples"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--compile", action="store_true", help="train with a compiled network, in both")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured; default: 5")
    parser.add_argument("--steps", type=int, default=30, help="updates of a round of training; default: 30")
    parser.add_argument("--crop", type=int, default=128, help="side of the HR patches of training; default: 128")
    parser.add_argument("--data-crop", type=int, default=128, help="of those that are cut; default: 128")
    parser.add_argument(
        "--degradation",
        nargs="+",
        default=["bicubic"],
        metavar=("NAME", "KEY=VALUE"),
        help="of data: what makes LR, of conf/degradation, and its settings; default: bicubic",
    )
    parser.add_argument("--batch-size", type=int, default=16, help="default: 16")
    parser.add_argument(
        "--workers", type=int, help="loading processes; default: 0 to train, 0 and one for each core for data"
    )
    parser.add_argument("--size", type=int, default=512, help="side of the window to enlarge; default: 512")
    parser.add_argument("--megapixels", type=float, default=24.0, help="largest result; of files: picture; default: 24")
    parser.add_argument("--scale", type=float, default=4, help="of files; default: 4")
    parser.add_argument("--ext", default="png", choices=("png", "tif"), help="of files; default: png")
    parser.add_argument("--threads", type=int, help="of files; default: those of PyTorch")
    parser.add_argument("--quick", action="store_true", help="three rounds, and pictures of up to 2 megapixels")
    parser.add_argument(
        "--opencv-model", type=Path, help="LapSRN_x4.pb for OpenCV's dnn_superres; default: its layers, untrained"
    )
    add_trust(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.words = [os.path.basename(word) if os.path.isabs(word) else word for word in words]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning.*")  # hints about workers and log intervals

    def command() -> None:
        from prosr_lightning.benchmark.results import table  # noqa: PLC0415  # imports torch
        from prosr_lightning.benchmark.task import run  # noqa: PLC0415  # as above

        result = run(options, announce=say)
        path = options.output or Path("logs") / "benchmark" / f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}.json"
        write_json(path, result)
        answer(terminal(table(result)))
        answer(f"Written to {path}")

    def explanation(error: BaseException) -> str | None:
        from prosr_lightning.config.messages import user_message  # noqa: PLC0415  # imports Hydra

        return user_message(error)

    return run_reporting(command, explanation)
