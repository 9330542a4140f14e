"""What a benchmark came to: plain values for a file, and a table."""

from __future__ import annotations

import datetime
import platform
import statistics
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from prosr_lightning import __version__
from prosr_lightning.benchmark.comparing import Section
from prosr_lightning.runs.record import describe_hardware
from prosr_lightning.tables import Table

_PACKAGES = (
    "torch",
    "lightning",
    "numpy",
    "pillow",
    "onnxruntime",
    "openvino",
    "ncnn",
    "opencv-contrib-python-headless",
)


def assemble(sections: Iterable[Section], *, command: str, device: torch.device) -> dict[str, Any]:
    """Return plain values: how it was measured, and each section below its name."""
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "statistic": "median of the rounds",
        "hardware": describe_hardware(device),
        "versions": _versions(),
        **{section.name: section.to_dict() for section in sections},
    }


def table(result: Mapping[str, Any]) -> Table:
    """Lay out the ratios and values of a result of `assemble`."""
    hardware = ", ".join(f"{key} {value}" for key, value in result["hardware"].items())
    caption = f"Ratios and rates: {result['statistic']} (lowest to highest ratio). {hardware}."
    blocks = []
    for part, section in result.items():
        if isinstance(section, dict) and "comparisons" in section:
            title = f"data, {section['settings']['workers']} processes" if part == "data_processes" else part
            blocks.append([("" if number else title, *row) for number, row in enumerate(_rows(section))])
    return Table.of_text(("part", "measured", "ratio", "goal", "rates"), *blocks, words=2, caption=caption)


def _rows(section: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield what is measured, ratio, goal and rates."""
    for comparison in section["comparisons"]:
        ratio = f"{comparison['ratio']:.2f} ({comparison['lowest']:.2f} to {comparison['highest']:.2f})"
        measured, against = (statistics.median(comparison[key]) for key in ("measured", "against"))
        rates = f"{measured:,.4g} over {against:,.4g} {comparison['unit']}"
        yield comparison["name"], ratio, "" if comparison["goal"] is None else f"{comparison['goal']:g}", rates
    for name, value in section["values"].items():
        yield name, f"{value:,.4g}", "", ""
    for name, reason in section["skipped"].items():
        yield name, "skipped", "", reason


def _versions() -> dict[str, str]:
    versions = {"prosr_lightning": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # an extra
            continue
    return versions
