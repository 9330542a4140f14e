"""Measure speed as ratios taken in one run: `python -m prosr_lightning.benchmark [train|data|upscale|all]`.

Each ratio has two things that were measured in turns: the network against the machine's own matrix product, training
against a bare loop, patches against the usual way. The median of the rounds is printed; the file has the raw rates.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table

from prosr_lightning.benchmarking import Section, measure_data, measure_training, measure_upscaling
from prosr_lightning.config import conf_dir, run_reporting
from prosr_lightning.console import progress_bar
from prosr_lightning.data.sources import folder_images, sample_photographs
from prosr_lightning.errors import ConfigError
from prosr_lightning.export import export_network
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.networks import Generator
from prosr_lightning.record import describe_hardware
from prosr_lightning.weights import load_network

PARTS = ("train", "data", "upscale")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what the options name.

    Args:
        options: As `_parser` reads them.

    Returns:
        Plain values: `command`, `date`, `hardware`, and a section for each part.

    Raises:
        ConfigError: If an option is outside its range.
        DataError: If there are no photographs.
    """
    for name in ("rounds", "steps", "crop", "batch_size", "size"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}.")
    if options.crop % 2:
        raise ConfigError(f"--crop must be even, got {options.crop}; choose {options.crop + 1}.")
    parts = PARTS if options.part == "all" else (options.part,)
    measures = {"train": _train, "data": _data, "upscale": _upscale}
    sections = [measures[part](options) for part in parts]
    return {
        "command": f"python -m prosr_lightning.benchmark {' '.join(options.words)}".strip(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "hardware": describe_hardware(options.device if options.device != "auto" else _device()),
        "lightning": lightning.__version__,
        **{section.name: section.to_dict() for section in sections},
    }


def table(result: dict[str, Any]) -> Table:
    """Lay out the ratios and values of a result.

    Args:
        result: As `run` returned it.
    """
    hardware = ", ".join(f"{key} {value}" for key, value in result["hardware"].items())
    grid = Table(caption=f"Median of the rounds (lowest to highest). {hardware}.", caption_justify="left")
    for title in ("part", "measured", "ratio", "goal", "rates"):
        grid.add_column(title, justify="right" if title in ("ratio", "goal") else "left")
    for part in PARTS:
        section = result.get(part)
        if section is None:
            continue
        for one in section["comparisons"]:
            ratio = f"{one['ratio']:.2f} ({one['lowest']:.2f} to {one['highest']:.2f})"
            rates = f"{max(one['measured']):,.4g} over {max(one['against']):,.4g} {one['unit']}"
            grid.add_row(part, one["name"], ratio, "" if one["goal"] is None else f"{one['goal']:g}", rates)
        for name, value in section["values"].items():
            grid.add_row(part, name, f"{value:,.4g}", "", "")
        for name, reason in section["skipped"].items():
            grid.add_row(part, name, "skipped", "", reason)
    return grid


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _upscale(options: argparse.Namespace) -> Section:
    def export(folder: Path, runtime: str) -> Path:
        target = "openvino" if runtime == "openvino" else "onnx"
        return export_network(options.name, folder, target=target, graphs=["step"])[0].path

    return measure_upscaling(
        load_network(options.name).network,
        export=export,
        device=options.device,
        size=options.size,
        largest_megapixels=options.megapixels,
        rounds=options.rounds,
        opencv_model=options.opencv_model,
    )


def _train(options: argparse.Namespace) -> Section:
    clip = 0.1
    device = _device() if options.device == "auto" else options.device
    words = [
        f"trainer={'gpu' if device == 'cuda' else 'cpu'}",
        "budget=cpu",
        "data=sample" if options.photographs is None else "data=folder",
        f"trainer.max_steps={options.steps}",
        "trainer.max_time=null",
        f"trainer.precision={options.precision}",
        f"trainer.gradient_clip_val={clip}",
        f"data.crop={options.crop}",
        f"data.batch_size={options.batch_size}",
        f"data.num_workers={options.workers}",
        f"data.patches_per_epoch={options.batch_size * options.steps * 2}",  # no validation among the steps
        f"model.compile={str(options.compile).lower()}",
    ]

    def prepare(folder: Path, more: Sequence[Callback]) -> tuple[Trainer, LightningModule, Any]:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            cfg = compose("train", overrides=[*words, f"paths.output_dir={folder}"])
        if options.photographs is not None:
            cfg.data.train_dir = str(options.photographs)
        module, data = instantiate(cfg.model, _convert_="all"), instantiate(cfg.data, _convert_="all")
        callbacks = [instantiate(node, _convert_="all") for node in cfg.callbacks.values() if node is not None]
        trainer = instantiate(
            cfg.trainer,
            _convert_="all",
            callbacks=[*callbacks, *more],
            logger=instantiate(cfg.logger, _convert_="all"),
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )
        return trainer, module, data

    return measure_training(
        prepare,
        Generator,
        crop=options.crop,
        batch_size=options.batch_size,
        precision=options.precision,
        clip=clip,
        steps=options.steps,
        rounds=options.rounds,
        compile=options.compile,
    )


def _data(options: argparse.Namespace) -> Section:
    if options.photographs is None:
        photographs, held_out = sample_photographs("astronaut")
        photographs += list(held_out.images)
    else:
        photographs = folder_images(options.photographs)
    with tempfile.TemporaryDirectory() as folder, progress_bar("Decoding photographs") as progress:
        return measure_data(
            photographs,
            Path(folder),
            crop=options.data_crop,
            workers=options.workers,
            rounds=options.rounds,
            progress=progress,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prosr_lightning.benchmark", description=__doc__)
    parser.add_argument("part", nargs="?", choices=(*PARTS, "all"), default="all")
    parser.add_argument("-o", "--output", type=Path, help="JSON file; default: logs/benchmark/TIME.json")
    parser.add_argument("-n", "--name", default="prosrn", help="2x network to enlarge with; default: prosrn")
    parser.add_argument("--photographs", type=Path, help="folder to train on and to cut from; default: samples")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed", "16-mixed"))
    parser.add_argument("--compile", action="store_true", help="train with a compiled network, in both")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured; default: 5")
    parser.add_argument("--steps", type=int, default=30, help="updates of a round of training; default: 30")
    parser.add_argument("--crop", type=int, default=128, help="side of the HR patches of training; default: 128")
    parser.add_argument("--data-crop", type=int, default=128, help="of those that are cut; default: 128")
    parser.add_argument("--batch-size", type=int, default=16, help="default: 16")
    parser.add_argument("--workers", type=int, default=0, help="loading processes; default: 0")
    parser.add_argument("--size", type=int, default=256, help="side of the window to enlarge; default: 256")
    parser.add_argument("--megapixels", type=float, default=24.0, help="largest result; default: 24")
    parser.add_argument("--opencv-model", type=Path, help="LapSRN_x4.pb, to compare with OpenCV's dnn_superres")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.words = [os.path.basename(word) if os.path.isabs(word) else word for word in words]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning.*")  # hints about workers and log intervals

    def command() -> None:
        result = run(options)
        path = options.output or Path("logs") / "benchmark" / f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}.json"
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        console = Console()
        console.print(table(result))
        console.print(f"Written to {path}", highlight=False, soft_wrap=True)

    return run_reporting(command)


if __name__ == "__main__":
    sys.exit(main())
