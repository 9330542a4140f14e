"""Write the README's table of the released weights: `python -m prosr_lightning.document`, or `make docs`.

The scores come from the headers of the weights files, the published ones from the paper's tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from prosr_lightning.console import run_reporting
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.networks.weights import load_network, released_names
from prosr_lightning.report.published import SETS, published_scores

BEGIN, END = "<!-- scores: make docs -->", "<!-- end of scores -->"
_README = Path("README.md")

_Scores = dict[tuple[str, int], tuple[float, float]]


def scores_table(name: str = "prosrn") -> str:
    """Lay out the scores of released weights beside bicubic's and the paper's.

    Args:
        name: The released name; its levels choose the paper's row of Table 4.

    Returns:
        A Markdown table: PSNR in dB / SSIM for each set and scale that the weights were scored at.

    Raises:
        ConfigError: If the weights have no scores, or none by the protocol of the paper's tables.
    """
    metadata = load_network(name).metadata
    if metadata.get("protocol") != "paper" or not metadata.get("scores"):
        raise ConfigError(f"The weights {name} must have scores by protocol=paper in their header; release them again.")
    ours: _Scores = {(row["dataset"], row["scale"]): (row["psnr_db"], row["ssim"]) for row in metadata["scores"]}
    row = f"ProSRN ({', '.join(f'{level}x' for level in metadata['recipe']['levels'])})"
    bicubic, paper, rival = _published(6, "Bicubic"), _published(4, row), _published(6, "LapSRN")
    lines = [
        f"| set | scale | bicubic | `{name}` | gain | the paper's {row} | distance | LapSRN, published |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place in sorted(ours, key=lambda one: (one[1], SETS.index(one[0]))):
        dataset, scale = place
        gain, distance = (_difference(ours[place], other.get(place)) for other in (bicubic, paper))
        cells = [_cell(one.get(place)) for one in (bicubic, ours)] + [gain, _cell(paper.get(place)), distance]
        lines.append(f"| {' | '.join([dataset, f'{scale}x', *cells, _cell(rival.get(place))])} |")
    return "\n".join(lines)


def write_scores(readme: Path, name: str = "prosrn") -> None:
    """Put the table between its marks.

    Args:
        readme: A text file with the marks `BEGIN` and `END`.
        name: The released name.

    Raises:
        ConfigError: If the file is missing, or its marks are.
        StorageError: If it cannot be written.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{readme} must be a text file, but: {error.strerror}; run it beside the README.") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{readme} must hold the lines {BEGIN!r} and {END!r}, found not both; add them.")
    with atomic_path(readme) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{scores_table(name)}\n{END}{after}", encoding="utf-8")


def _published(table: int, method: str) -> _Scores:
    return {
        (one.dataset, one.scale): (one.psnr_db, one.ssim) for one in published_scores(table) if one.method == method
    }


def _cell(score: tuple[float, float] | None) -> str:
    return "" if score is None else f"{score[0]:.2f} / {score[1]:.4f}"


def _difference(ours: tuple[float, float], other: tuple[float, float] | None) -> str:
    return "" if other is None else f"{ours[0] - other[0]:+.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m prosr_lightning.document", description=__doc__)
    parser.add_argument("readme", type=Path, nargs="?", default=_README, help="default: README.md")
    parser.add_argument("--name", default="prosrn", choices=released_names(), help="released weights; default: prosrn")
    options = parser.parse_args(arguments)

    def command() -> None:
        write_scores(options.readme, options.name)
        Console(soft_wrap=True).print(f"Wrote the table of {options.name} into {options.readme}", highlight=False)

    return run_reporting(command)
