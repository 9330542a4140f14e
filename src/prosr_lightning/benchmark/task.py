"""Everything that is measured, part by part."""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from prosr_lightning.benchmark import FILES, NETWORKS, PARTS
from prosr_lightning.benchmark.comparing import Section
from prosr_lightning.benchmark.files import measure_files
from prosr_lightning.benchmark.growth import SMALLEST
from prosr_lightning.benchmark.patches import measure_data
from prosr_lightning.benchmark.results import assemble
from prosr_lightning.benchmark.training import measure_training
from prosr_lightning.benchmark.upscaling import measure_networks, measure_upscaling
from prosr_lightning.console import progress_bar
from prosr_lightning.data.sources import folder_images, sample_photographs
from prosr_lightning.errors import ConfigError
from prosr_lightning.evaluate.drawing import named
from prosr_lightning.networks import SRNetwork
from prosr_lightning.networks.weights import load_network
from prosr_lightning.upscale.contract import ENGINES
from prosr_lightning.upscale.engines import choose_device

log = logging.getLogger(__name__)


def run(options: argparse.Namespace, *, announce: Callable[[str], None] = log.info) -> dict[str, Any]:
    """Measure what the options name.

    Returns:
        Plain values: `command`, `date`, `hardware`, `versions`, and a section for each part.

    Raises:
        ConfigError: If an option is outside its range.
        DataError: If there are no photographs.
    """
    if options.quick:
        options.rounds, options.megapixels = min(options.rounds, 3), min(options.megapixels, 2.0)
    _check(options)
    device = choose_device(options.device)
    parts = PARTS if options.part == "all" else (options.part,)
    names = [options.name, *options.beside] if NETWORKS in parts else [options.name] if "upscale" in parts else []
    networks = {
        Path(name).name: load_network(name, trust=options.trust).network for name in names if not name.endswith(".onnx")
    }  # before anything takes time
    sections: list[Section] = []
    for part in parts:
        announce(f"Measuring {part}")
        if part == "train":
            sections.append(_train(options, device))
        elif part == "data":
            sections += _data(options)
        elif part == FILES:
            sections.append(
                measure_files(
                    options.name,
                    megapixels=options.megapixels,
                    scale=options.scale,
                    extension=options.ext,
                    threads=options.threads,
                    engines=options.engines,
                )
            )
        elif part == NETWORKS:
            graphs = [Path(name) for name in options.beside if name.endswith(".onnx")]
            settings = {
                "graphs": graphs,
                "device": device,
                "size": options.size,
                "rounds": options.rounds,
                "engines": options.engines,
            }
            sections.append(measure_networks(networks, **settings))
        else:
            sections.append(_upscale(options, networks[Path(options.name).name], device))
    command = f"python -m prosr_lightning.benchmark {' '.join(options.words)}".strip()
    return assemble(sections, command=command, device=device)


def _check(options: argparse.Namespace) -> None:
    """Refuse what would fail only after minutes."""
    least = {"rounds": 1, "steps": 2, "crop": 2, "data_crop": 2, "batch_size": 1, "size": 1, "workers": 0}
    for name, limit in least.items():
        value, option = getattr(options, name), f"--{name.replace('_', '-')}"
        if value is not None and value < limit:
            raise ConfigError(f"{option} must be at least {limit}, got {value}; leave it out for its default.")
        if "crop" in name and value % 2:
            raise ConfigError(f"{option} must be even, got {value}; choose {value + 1}.")
    if not options.megapixels > SMALLEST:
        raise ConfigError(
            f"--megapixels: the largest picture must have more than {SMALLEST} megapixels, got {options.megapixels}; "
            "choose e.g. 24."
        )
    if options.photographs is not None and not options.photographs.is_dir():
        raise ConfigError(
            f"--photographs must be a folder of images, got {options.photographs}, which is none; check the path."
        )
    if options.opencv_model is not None and not options.opencv_model.is_file():
        raise ConfigError(f"--opencv-model must be a file, got {options.opencv_model}, which is none; check the path.")
    other_files = options.part == FILES and not options.beside
    if (options.part == NETWORKS) != bool(options.beside or options.engines) and not other_files:
        raise ConfigError(
            f"--beside must name networks, or --engines engines, to compare with {options.name} in the part networks, "
            f"and only there, got {options.beside or options.engines or 'none'} in {options.part}; say networks "
            "--beside prosrn_light."
        )
    if options.part == FILES and (strange := sorted(set(options.engines) - set(ENGINES))):
        raise ConfigError(
            f"--engines of files must be of {', '.join(ENGINES)}, got {', '.join(strange)}; leave it out."
        )
    if options.output is not None and options.output.is_dir():
        raise ConfigError(f"--output must be a file, got the folder {options.output}; add a name, such as speed.json.")


def _upscale(options: argparse.Namespace, network: SRNetwork, device: torch.device) -> Section:
    return measure_upscaling(
        network,
        device=device,
        size=options.size,
        largest_megapixels=options.megapixels,
        rounds=options.rounds,
        opencv_model=options.opencv_model,
    )


def _train(options: argparse.Namespace, device: torch.device) -> Section:
    return measure_training(
        photographs=options.photographs,
        device=device,
        crop=options.crop,
        batch_size=options.batch_size,
        precision=options.precision,
        steps=options.steps,
        rounds=options.rounds,
        workers=options.workers or 0,
        compile=options.compile,
    )


def _data(options: argparse.Namespace) -> list[Section]:
    degradation = named("degradation", *options.degradation)
    if options.photographs is None:
        photographs, held_out = sample_photographs("astronaut")
        photographs += list(held_out.images)
    else:
        photographs = folder_images([options.photographs])
    several = _cores() if options.workers is None else options.workers
    with tempfile.TemporaryDirectory() as folder, progress_bar("Decoding photographs") as progress:
        return [
            measure_data(
                photographs,
                Path(folder) / "cache",
                crop=options.data_crop,
                workers=workers,
                degradation=degradation,
                rounds=options.rounds,
                progress=progress,
            )
            for workers in sorted({0, several})
        ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
