"""Write the table of the released weights into documents: `python -m prosr_lightning.document`, or `make docs`.

The scores come from the headers of the weights files, the published ones from the paper's tables.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning.console import answer, run_reporting
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import write_file
from prosr_lightning.networks.weights import load_network
from prosr_lightning.released import RELEASED_FOLDER, released_names
from prosr_lightning.report.published import SETS, published_scores
from prosr_lightning.tables import Table, render

BEGIN, END = "<!-- scores: make docs -->", "<!-- end of scores -->"
_README = Path("README.md")

_Scores = dict[tuple[str, int], tuple[float, float]]


def scores_table(names: Sequence[str] | None = None) -> str:
    """Lay out the scores of released weights beside bicubic's, the paper's and LapSRN's.

    Args:
        names: Released names; None takes every ProSRN, smallest first.

    Returns:
        A Markdown table: PSNR in dB / SSIM for each set and scale that all of them were scored at. Bicubic's are
        measured (`released/bicubic.csv`), LapSRN's are those of Table 6, and the paper's those of Tables 4 and 6: of
        its three networks each cell has the one with the highest PSNR there.

    Raises:
        ConfigError: If weights have no scores, or none by the protocol of the paper's tables.
    """
    columns = {name: _ours(name) for name in names or prosrn_names()}
    places = set.intersection(*(set(scores) for scores in columns.values()))
    paper: _Scores = {}
    for row in (row for table in (4, 6) for row in published_scores(table) if row.method.startswith("ProSRN")):
        score = (row.psnr_db, row.ssim)
        paper[row.dataset, row.scale] = max(score, paper.get((row.dataset, row.scale), score))
    rival = {(row.dataset, row.scale): (row.psnr_db, row.ssim) for row in published_scores(6) if row.method == "LapSRN"}
    every = {
        "bicubic": _bicubic(),
        **columns,
        "the paper's best ProSRN": paper,
        "LapSRN, published": rival,
    }
    rows = [
        [place[0], f"{place[1]}x", *(_cell(scores.get(place)) for scores in every.values())]
        for place in sorted(places, key=lambda place: (place[1], SETS.index(place[0])))
    ]
    return render(Table.of_text(("set", "scale", *every), rows)).rstrip("\n")


def prosrn_names() -> list[str]:
    """Return the released names of networks trained for PSNR on clean pictures, smallest first."""
    released = {name: load_network(name) for name in released_names()}
    return sorted(
        (name for name, loaded in released.items() if not loaded.adversarial and loaded.degradation is None),
        key=lambda name: released[name].metadata["parameters"],
    )


def _ours(name: str) -> _Scores:
    metadata = load_network(name).metadata
    if metadata.get("protocol") != "paper" or not metadata.get("scores"):
        raise ConfigError(f"The weights {name} must have scores by protocol=paper in their header; release them again.")
    return {(row["dataset"], row["scale"]): (row["psnr_db"], row["ssim"]) for row in metadata["scores"]}


def _bicubic() -> _Scores:
    """Return what `evaluate method=bicubic` gives by the same protocol."""
    with (RELEASED_FOLDER / "bicubic.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["dataset"], int(row["scale"])): (float(row["psnr_db"]), float(row["ssim"]))
            for row in csv.DictReader(file)
        }


def write_scores(document: Path) -> None:
    """Put the table between its marks.

    Raises:
        ConfigError: If the file is missing, or its marks are.
        StorageError: If it cannot be written.
    """
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{document} must be a text file, but: {error.strerror}; run it beside the README."
        ) from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{document} must hold the lines {BEGIN!r} and {END!r}, found not both; add them.")
    write_file(document, f"{before}{BEGIN}\n{scores_table()}\n{END}{after}")


def _cell(score: tuple[float, float] | None) -> str:
    return "" if score is None else f"{score[0]:.2f} / {score[1]:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m prosr_lightning.document", description=__doc__)
    parser.add_argument("documents", type=Path, nargs="*", default=[_README], help="default: README.md")
    options = parser.parse_args(arguments)

    def command() -> None:
        for document in options.documents:
            write_scores(document)
            answer(f"Wrote the table of scores into {document}")

    return run_reporting(command)
