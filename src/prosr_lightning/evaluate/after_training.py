"""What a training run ends with: the trained network beside bicubic, as files, a table and a picture."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from prosr_lightning.console import answer
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.data.pairing import given_lr
from prosr_lightning.evaluate.methods import make_sample, read_ycbcr
from prosr_lightning.evaluate.running import Progress, evaluate_network
from prosr_lightning.evaluate.scoring import find_measure
from prosr_lightning.imaging.color import to_rgb8, ycbcr_to_rgb
from prosr_lightning.imaging.degradation import BICUBIC, Degradation
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.io import RGB8, read_rgb, write_rgb
from prosr_lightning.metrics.protocol import ScoringProtocol
from prosr_lightning.networks import SRNetwork, count_parameters, multiply_adds_by_scale
from prosr_lightning.pictures.comparison import Panel, comparison, detailed_window
from prosr_lightning.runs.scores import ImageScore, RunInfo, SummaryRow, summarise, write_results
from prosr_lightning.tables import Table, terminal

log = logging.getLogger(__name__)

_CROP = 80  # side of the crops of the picture, in pixels of the original


def score_run(
    networks: Mapping[str, SRNetwork],
    benchmarks: Sequence[Benchmark],
    scales: Sequence[int],
    protocol: ScoringProtocol,
    *,
    output_dir: Path,
    device: str | torch.device = "cpu",
    sources: Mapping[str, str] | None = None,
    measures: Sequence[str] = (),
    picture: bool = False,
    degradation: Degradation | None = None,
    progress: Progress | None = None,
) -> dict[str, list[ImageScore]]:
    """Score networks beside bicubic, write the results below `output_dir`, and print the table.

    Args:
        networks: By the name that the table gives them; the gain is that of the last.
        benchmarks: The sets.
        scales: The factors.
        protocol: The convention.
        output_dir: Gets `test/<method>/summary.csv` and the like, and `comparison.png`.
        device: Where the network computes.
        sources: The checkpoint of each, for the record.
        measures: Perceptual values wanted besides, see `evaluate_network`.
        picture: Draw crops of the first image of the first set.
        degradation: Makes the LR images; None for bicubic.
        progress: Called after every image, for each method anew.

    Returns:
        The scores of bicubic and of every network.
    """
    scores: dict[str, list[ImageScore]] = {}
    everything: dict[str, SRNetwork | None] = {"bicubic": None, **networks}
    for method, module in everything.items():
        folder = output_dir / "test" / method
        scores[method] = evaluate_network(
            module,
            benchmarks,
            scales,
            protocol,
            device=device,
            save_dir=folder / "images" if picture else None,
            measures=measures,
            degradation=degradation,
            progress=progress,
        )
        parameters = 0 if module is None else count_parameters(module)
        info = RunInfo(
            method=method,
            protocol=protocol,
            source=(sources or {}).get(method),
            parameters=parameters,
            multiply_adds={} if module is None else multiply_adds_by_scale(module, scales),
            lr_dir=next((str(benchmark.lr_dir) for benchmark in benchmarks if benchmark.lr_dir is not None), None),
            degradation=BICUBIC if degradation is None else degradation.name,
            device=str(device),
        )
        write_results(folder, scores[method], info)
    answer(terminal(_table(scores, protocol, info.lr_images)))
    for measure in measures:
        answer(terminal(_measure_table(scores, measure)))
    if picture:
        path = output_dir / "comparison.png"
        write_rgb(path, draw_comparison(scores, benchmarks[0], scales, output_dir / "test", degradation=degradation))
        answer(f"Comparison picture: {path}")
    return scores


def _table(scores: Mapping[str, list[ImageScore]], protocol: ScoringProtocol, lr_images: str) -> Table:
    lines = [
        (
            *(rows[0].dataset, f"{rows[0].scale}x"),
            *(f"{row.psnr_db:.2f} / {row.ssim:.4f}" for row in rows),
            f"{rows[-1].psnr_db - rows[0].psnr_db:+.2f} dB",
        )
        for rows in _by_place(scores)
    ]
    caption = f"PSNR in dB / SSIM; {protocol.describe_both(lr_images)}"
    return Table.of_text(("set", "scale", *scores, "gain"), lines, caption=caption)


def _measure_table(scores: Mapping[str, list[ImageScore]], measure: str) -> Table:
    wanted = find_measure(measure)
    lines = [
        (rows[0].dataset, f"{rows[0].scale}x", *(f"{row.perceptual[wanted.name]:.4f}" for row in rows))
        for rows in _by_place(scores)
    ]
    return Table.of_text(("set", "scale", *scores), lines, caption=f"{wanted.name}; {wanted.meaning}")


def _by_place(scores: Mapping[str, list[ImageScore]]) -> Iterable[tuple[SummaryRow, ...]]:
    return zip(*map(summarise, scores.values()), strict=True)


def draw_comparison(
    scores: Mapping[str, list[ImageScore]],
    benchmark: Benchmark,
    scales: Sequence[int],
    folder: Path,
    *,
    window: tuple[int, int] | None = None,
    degradation: Degradation | None = None,
) -> RGB8:
    """Draw LR, every method and the original of the benchmark's first image, a row for each scale.

    Args:
        scores: By method.
        benchmark: The set.
        scales: The factors.
        folder: Holds `<method>/images/`, as `evaluate_network` writes them.
        window: Top and left of the crop; None finds the most detailed place.
        degradation: As for `score_run`.

    Returns:
        The drawing, `(H, W, 3)` `uint8`.
    """
    path = benchmark.images[0]
    original = read_rgb(path)
    largest = max(scales)
    top, left = window or detailed_window(original, _CROP)
    window = (top // largest * largest, left // largest * largest)
    ycbcr, rows = read_ycbcr(path), []
    for scale in scales:
        truth = torch.from_numpy(original.copy()).permute(2, 0, 1)[None]
        truth = modcrop(truth, scale)
        lr_path = given_lr([benchmark], scale).get(path)
        sample = make_sample(path, ycbcr, scale, rounding="none", lr_path=lr_path, degradation=degradation)
        lr = ycbcr_to_rgb(sample.lr)
        panels = [Panel(caption=f"LR, {scale}x smaller", image=to_rgb8(lr))]
        for method, of_method in scores.items():
            score = next(
                image
                for image in of_method
                if (image.dataset, image.scale, image.image) == (benchmark.name, scale, path.stem)
            )
            result = read_rgb(folder / method / "images" / benchmark.name / f"x{scale}" / f"{path.stem}.png")
            panels.append(Panel(caption=f"{method} {scale}x\n{score.psnr_db:.2f} dB", image=result))
        panels.append(Panel(caption=f"original\n{path.stem}", image=to_rgb8(truth.double() / 255)))
        rows.append(panels)
    return comparison(rows, window=window, side=_CROP)
