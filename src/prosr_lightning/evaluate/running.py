"""Run a method over benchmarks and score every image once at every scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.data.pairing import match_images
from prosr_lightning.errors import ConfigError, DataError, ImageError
from prosr_lightning.evaluate.methods import (
    FolderMethod,
    Method,
    NetworkMethod,
    Peer,
    PeerMethod,
    Sample,
    bicubic,
    make_sample,
    read_ycbcr,
)
from prosr_lightning.evaluate.scoring import Measure, Scorer, find_measures
from prosr_lightning.imaging.degradation import Degradation
from prosr_lightning.metrics.protocol import Rounding, ScoringProtocol
from prosr_lightning.networks import SRNetwork, power_of_two
from prosr_lightning.runs.scores import ImageScore

Progress = Callable[[int, int], None]  # called after every image with the number of images done and the number in all


def evaluate_network(
    network: SRNetwork | None,
    benchmarks: Sequence[Benchmark],
    scales: Sequence[int],
    protocol: ScoringProtocol,
    *,
    self_ensemble: bool = False,
    bf16: bool = False,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
    save_dir: Path | str | None = None,
    tile: int | str = "auto",
    chroma: str = "bicubic",
    measures: Sequence[str] = (),
    degradation: Degradation | None = None,
) -> list[ImageScore]:
    """Score a network, or bicubic, on benchmarks; every image is computed once at every scale.

    Args:
        network: The network, which is copied and left as it is; None for bicubic.
        benchmarks: The sets.
        scales: The factors; each is computed from its own LR image.
        protocol: The convention.
        self_ensemble: Average over the eight symmetries, see `upscale.chain.Chain` (networks only).
        bf16: Compute the features in bfloat16 (networks only).
        device: Where the network computes, see `upscale.engines.choose_device`; scoring is done on the CPU in float64.
        progress: Called after every image.
        save_dir: Write each result there as `NAME/x4/image.png`.
        tile: See `upscale.chain.Chain`.
        chroma: "bicubic" or "network", see `pictures.recoloring.Recoloring` (networks only).
        measures: Values wanted besides: "gmsd", "high_frequency", "lpips", "dists", or paths, see `find_measure`.
        degradation: Makes the LR images that are not given; None for bicubic.

    Returns:
        Scores ordered by set, scale and image.

    Raises:
        ConfigError: If an argument is not allowed.
        DataError: If an image cannot be scored; the message names it.
        MissingDependencyError: If a measure needs a package that is absent.
    """
    functions = _checked(scales, measures)
    if network is None:
        if self_ensemble:
            raise ConfigError(
                "`self_ensemble` must be false for bicubic, got true; bicubic commutes with the symmetries."
            )
        if bf16:
            raise ConfigError("`bf16` must be false for bicubic, got true; it is for networks.")
        if chroma != "bicubic":
            raise ConfigError(f"`chroma` must be bicubic for bicubic, got {chroma!r}; leave it out.")
        method: Method = bicubic
    else:
        for scale in scales:
            network.passes(power_of_two(scale))
        method = NetworkMethod(
            network=network, device=device, self_ensemble=self_ensemble, bf16=bf16, tile=tile, chroma=chroma
        )
    rounding = protocol.bicubic_rounding if network is None else protocol.rounding
    scorer = Scorer(
        method=method,
        protocol=protocol,
        rounding=rounding,
        measures=functions,
        save_dir=None if save_dir is None else Path(save_dir),
    )
    return _run(scorer, benchmarks, scales, progress, degradation)


def evaluate_peer(
    peer: Peer,
    benchmarks: Sequence[Benchmark],
    scales: Sequence[int],
    protocol: ScoringProtocol,
    *,
    progress: Progress | None = None,
    save_dir: Path | str | None = None,
    measures: Sequence[str] = (),
    degradation: Degradation | None = None,
) -> list[ImageScore]:
    """Score another program on the LR images that networks get, rounded to 8-bit RGB; as `evaluate_network`."""
    functions = _checked(scales, measures)
    scorer = Scorer(
        method=PeerMethod(peer=peer),
        protocol=protocol,
        rounding=_of_finished(protocol),
        measures=functions,
        save_dir=None if save_dir is None else Path(save_dir),
    )
    return _run(scorer, benchmarks, scales, progress, degradation)


def evaluate_folder(
    folder: Path | str,
    benchmarks: Sequence[Benchmark],
    scales: Sequence[int],
    protocol: ScoringProtocol,
    *,
    progress: Progress | None = None,
    measures: Sequence[str] = (),
) -> list[ImageScore]:
    """Score finished pictures; `data.pairing.match_images` says where they are looked for.

    Args:
        folder: The pictures.
        benchmarks: The sets.
        scales: The factors.
        protocol: The convention; the pictures are 8-bit RGB already, so "none" and "rgb8" are the same.
        progress: Called after every image.
        measures: As for `evaluate_network`.

    Returns:
        Scores ordered by set, scale and image.

    Raises:
        ConfigError: If an argument is not allowed.
        DataError: If a picture is missing, ambiguous, unreadable or of the wrong size; the message names it.
    """
    functions = _checked(scales, measures)
    files: dict[tuple[Path, int], Path] = {}
    for benchmark in benchmarks:
        files |= _files(benchmark, folder, scales, "result")
    if len(set(files.values())) != len(files):
        raise DataError(
            f"{folder} must have a folder for each benchmark (such as {benchmarks[0].name}/x{scales[0]}), got one file "
            "for several images; sort the files, or score one set at one scale."
        )
    scorer = Scorer(
        method=FolderMethod(files=files),
        protocol=protocol,
        rounding=_of_finished(protocol),
        measures=functions,
        timed=False,
    )
    return _run(scorer, benchmarks, scales, progress)


def _of_finished(protocol: ScoringProtocol) -> Rounding:
    """Return the rounding of pictures that are 8-bit RGB already."""
    return "y8" if protocol.rounding == "y8" else "none"


def _run(
    scorer: Scorer,
    benchmarks: Sequence[Benchmark],
    scales: Sequence[int],
    progress: Progress | None,
    degradation: Degradation | None = None,
) -> list[ImageScore]:
    total = len(scales) * sum(len(benchmark.images) for benchmark in benchmarks)
    lr_files_of = [  # all found before any work
        {} if benchmark.lr_dir is None else _files(benchmark, benchmark.lr_dir, scales, "LR image")
        for benchmark in benchmarks
    ]
    scores: list[ImageScore] = []
    done = 0
    for benchmark, lr_files in zip(benchmarks, lr_files_of, strict=True):
        of_set: list[ImageScore] = []
        for sample in _samples(benchmark, scales, scorer.rounding, lr_files, degradation):
            of_set.append(scorer(benchmark.name, sample))
            done += 1
            if progress is not None:
                progress(done, total)
        scores += sorted(of_set, key=lambda score: scales.index(score.scale))  # stable: the images stay in order
    return scores


def _samples(
    benchmark: Benchmark,
    scales: Sequence[int],
    rounding: Rounding,
    lr_files: Mapping[tuple[Path, int], Path],
    degradation: Degradation | None,
) -> Iterator[Sample]:
    """Read each picture once and give it at every scale."""
    for number, path in enumerate(benchmark.images):
        hr = read_ycbcr(path)
        for scale in scales:
            try:
                yield make_sample(
                    path,
                    hr,
                    scale,
                    rounding=rounding,
                    lr_path=lr_files.get((path, scale)),
                    degradation=degradation,
                    number=number,
                )
            except ImageError as error:
                raise ImageError(f"{path} cannot be scored at {scale}x: {error}") from error


def _files(benchmark: Benchmark, folder: Path | str, scales: Sequence[int], what: str) -> dict[tuple[Path, int], Path]:
    """Return the file that belongs to each image at each scale, see `match_images`."""
    return {
        (image, scale): path
        for scale in scales
        for image, path in zip(
            benchmark.images,
            match_images(benchmark, folder, scale, several=len(scales) > 1, what=what),
            strict=True,
        )
    }


def _checked(scales: Sequence[int], measures: Sequence[str]) -> list[Measure]:
    """Return the functions of the measures; raise ConfigError if they or the scales are none."""
    wrong = [scale for scale in scales if isinstance(scale, bool) or not isinstance(scale, int) or scale < 2]
    if wrong or not scales or len(set(scales)) != len(scales):
        raise ConfigError(f"`scales` must be different whole numbers >= 2, got {list(scales)}; choose e.g. 2, 3, 4.")
    return find_measures(measures)
