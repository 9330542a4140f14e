"""Crops enlarged by bicubic and by the sweep's networks, to be looked at side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from prosr_lightning.data.benchmarks import Benchmark, find_dataset
from prosr_lightning.data.sources import sample_photographs
from prosr_lightning.errors import CheckpointError, DataError
from prosr_lightning.evaluate.running import evaluate_network
from prosr_lightning.imaging.io import RGB8, read_rgb, write_rgb
from prosr_lightning.metrics.protocol import PAPER, ScoringProtocol
from prosr_lightning.networks.contract import SRNetwork
from prosr_lightning.networks.weights import load_network
from prosr_lightning.pictures.comparison import detailed_window
from prosr_lightning.report.page.configurations import Configuration
from prosr_lightning.runs.scores import read_images
from prosr_lightning.runs.trained import TrainedRun

CROP = 320  # pixels; whole pictures would make the page heavy and each network slow
_MOST = 8  # networks for one picture
_VALIDATION = "Kodak24"
ORIGINAL, BICUBIC = "original", "bicubic"


@dataclass(frozen=True, kw_only=True)
class View:
    """One result of a picture: who made it, its PSNR on the crop (None of the original), and its file."""

    label: str
    psnr_db: float | None
    path: Path


@dataclass(frozen=True, kw_only=True)
class Crop:
    """One crop at one scale.

    Attributes:
        title: Set, picture and scale.
        scale: The factor.
        views: Bicubic, the networks, the original.
        size: Width and height.
    """

    title: str
    scale: int
    views: tuple[View, ...]
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The pictures, where they come from, and why something is missing."""

    pictures: tuple[Crop, ...]
    source: str
    protocol: ScoringProtocol
    notes: tuple[str, ...]


def make_gallery(configurations: Sequence[Configuration], folder: Path, *, count: int, scale: int) -> Gallery:
    """Enlarge crops with the best weights of each configuration.

    Args:
        configurations: Of several seeds, the first with weights is taken.
        folder: Gets the pictures.
        count: Pictures wanted.
        scale: The factor, for networks that can do it; others take the nearest that they can.

    Returns:
        The gallery; without pictures where no weights are left.

    Raises:
        StorageError: If a picture cannot be written.
    """
    networks, notes = _networks(configurations)
    runs = [job.run for configuration in configurations for job in configuration.scored]
    protocol = next((run.info.protocol for run in runs if run is not None), PAPER)
    if not networks or not count:
        return Gallery(pictures=(), source="", protocol=protocol, notes=tuple(notes))
    job = configurations[0].jobs[0]
    images, source = _images(job, count)
    scales: dict[int, dict[str, SRNetwork]] = {}
    for label, network in networks.items():
        able = network.scales or (scale,)
        nearest = min(able, key=lambda factor: abs(factor - scale))
        scales.setdefault(nearest, {})[label] = network
    pictures = []
    for factor in sorted(scales):
        for dataset, path in images:
            pictures.append(_picture(scales[factor], dataset, path, factor, folder, protocol))
    return Gallery(pictures=tuple(pictures), source=source, protocol=protocol, notes=tuple(notes))


def _networks(configurations: Sequence[Configuration]) -> tuple[dict[str, SRNetwork], list[str]]:
    """Load the best weights of each configuration; say what is missing."""
    networks: dict[str, SRNetwork] = {}
    notes: list[str] = []
    for configuration in configurations:
        if len(networks) == _MOST:
            notes.append(f"Only the first {_MOST} configurations are shown.")
            break
        network, problem = None, "no weights"
        for job in configuration.jobs:
            path = job.folder / (job.record.checkpoint or "checkpoints/best.ckpt")
            if not path.is_file():
                problem = f"{path} is missing"
                continue
            try:
                network = load_network(path).network
                break
            except CheckpointError as error:
                problem = str(error)
        if network is not None:
            networks[configuration.label] = network
        else:
            notes.append(f"{configuration.label} is not shown: {problem}.")
    return networks, notes


def _images(job: TrainedRun, count: int) -> tuple[list[tuple[str, Path]], str]:
    """Return pictures with their sets, and a sentence on the choice."""
    data_dir = Path(str(job.record.setting("paths.data_dir") or "data")).expanduser()
    named = job.record.setting("test.benchmarks")
    names = [str(name) for name in named] if named is not None and not isinstance(named, str) else []
    sets: list[Benchmark] = []
    for name in [*names, _VALIDATION]:
        try:
            sets.append(find_dataset(name, data_dir))
        except DataError:
            continue
    if not sets:
        held_out = job.record.setting("data.held_out")
        _, photograph = sample_photographs(str(held_out or "astronaut"))
        return [(photograph.name, photograph.images[0])], "a photograph that scikit-image ships"
    shown = [sets[number % len(sets)] for number in range(count)]
    chosen: list[tuple[str, Path]] = []
    for benchmark in shown:
        left = [path for path in benchmark.images if (benchmark.name, path) not in chosen]
        if left:
            chosen.append((benchmark.name, _typical(job, benchmark, left)))
    return chosen, "of each set the picture whose gain over bicubic is the median (the first where gains are not known)"


def _typical(job: TrainedRun, benchmark: Benchmark, images: Sequence[Path]) -> Path:
    """Return the picture whose gain over bicubic is the median, which no one can call picked."""
    if job.run is None or job.bicubic is None:
        return images[0]
    ours, theirs = (
        {score.image: score.psnr_db for score in read_images(run.folder) if score.dataset == benchmark.name}
        for run in (job.run, job.bicubic)
    )
    gains = {path: ours[path.stem] - theirs[path.stem] for path in images if path.stem in ours.keys() & theirs.keys()}
    if not gains:
        return images[0]
    middle = median_low(gains.values())
    return next(path for path, gain in gains.items() if gain == middle)


def _picture(
    networks: dict[str, SRNetwork], dataset: str, path: Path, scale: int, folder: Path, protocol: ScoringProtocol
) -> Crop:
    """Score one crop as the evaluation would a picture, and keep the results."""
    crop = _crop(read_rgb(path), scale)
    place = folder / f"{dataset}-{path.stem}-x{scale}"
    truth = place / "original.png"
    write_rgb(truth, crop)
    views = []
    with tempfile.TemporaryDirectory() as name:
        for number, (label, network) in enumerate([(BICUBIC, None), *networks.items()]):
            benchmark = Benchmark(name="crop", images=(truth,))
            scores = evaluate_network(network, [benchmark], [scale], protocol, save_dir=name)
            result = read_rgb(Path(name) / "crop" / f"x{scale}" / "original.png")
            target = place / f"{number}.png"
            write_rgb(target, result)
            views.append(View(label=label, psnr_db=scores[0].psnr_db, path=target))
    views.append(View(label=ORIGINAL, psnr_db=None, path=truth))
    size = (crop.shape[1], crop.shape[0])
    return Crop(title=f"{dataset}, {path.stem}, {scale}x", scale=scale, views=tuple(views), size=size)


def _crop(image: RGB8, scale: int) -> RGB8:
    """Return the most detailed square, its sides multiples of the scale."""
    top, left = detailed_window(image, CROP)
    height, width = (min(CROP, side) // scale * scale for side in image.shape[:2])
    return image[top : top + height, left : left + width].copy()
