"""Export a network for other programs: `prosr-export -n prosrn --format onnx -s 4` writes and verifies two graphs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

from prosr_lightning import DEFAULT_MODEL
from prosr_lightning.console import add_trust, answer, run_reporting

if TYPE_CHECKING:
    from prosr_lightning.export.task import export_network as export_network

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"task": ["export_network"]})

FORMATS = {"onnx": ".onnx", "torch": ".pt2", "openvino": ".xml", "web": ".onnx", "ncnn": ".param"}
GRAPHS = ("step", "rgb")
STEP_ALONE = {"web": "which a page repeats", "ncnn": "which an engine repeats"}  # formats that have no rgb graph
# facts in a file: what engines need of the step, and what released weights were trained for
RADIUS_KEY, FEATURES_KEY = "prosr_receptive_radius", "prosr_features"
WIDEST_KEY = "prosr_widest"  # channels, which earlier files have instead of the features
ADVERSARIAL_KEY, RESTORES_KEY = "prosr_adversarial", "prosr_restores"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="prosr-export", description="Export a network for other programs.")
    add = parser.add_argument
    add("-n", "--model", default=DEFAULT_MODEL, metavar="NAME", help="released weights or a file; default: %(default)s")
    add_trust(parser)
    add("-f", "--format", default="onnx", choices=tuple(FORMATS), help="default: onnx")
    add("-g", "--graph", default="both", choices=("both", *GRAPHS), help="step: luminance; rgb: the whole way")
    add("-s", "--scale", type=int, default=4, choices=(2, 4, 8, 16), help="of the rgb graph; default: 4")
    int8 = "write the step as ONNX that computes in 8 bits; photographs such as are to be enlarged calibrate it"
    add("--int8", type=Path, metavar="FOLDER", help=int8)
    add("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="default: the current folder")
    options = parser.parse_args(arguments)
    if options.format in STEP_ALONE and options.graph == "rgb":
        reason = STEP_ALONE[options.format]
        parser.error(f"--format {options.format} has the step graph alone, {reason}; leave --graph out")
    if options.int8 is not None and (options.format != "onnx" or options.graph == "rgb"):
        parser.error("--int8 writes the step graph as ONNX alone; leave --format and --graph out")
    both = ("step",) if options.format in STEP_ALONE else GRAPHS
    graphs = both if options.graph == "both" else (options.graph,)

    def command() -> None:
        if options.int8 is not None:
            from prosr_lightning.export.integers import export_in_8_bits  # noqa: PLC0415  # imports torch

            path, *psnr = export_in_8_bits(options.model, options.output, options.int8, trust=options.trust)
            answer(
                f"{path}: {psnr[1]:.2f} dB, in float32 {psnr[0]:.2f} dB, on pictures of {options.int8} shrunk to half"
            )
            return
        from prosr_lightning.export.task import export_network  # noqa: PLC0415  # likewise

        settings = {"target": options.format, "graphs": graphs, "scale": options.scale, "trust": options.trust}
        for exported in export_network(options.model, options.output, **settings):
            answer(f"{exported.path}: largest difference to PyTorch {exported.difference:.1e}")

    return run_reporting(command)
