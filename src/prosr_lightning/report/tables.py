"""Every table by its number."""

from __future__ import annotations

from collections.abc import Sequence

from prosr_lightning.errors import ConfigError, require_choice
from prosr_lightning.networks import count_layers, longest_path
from prosr_lightning.report import TABLES
from prosr_lightning.report.costs import network_of, parameters_of
from prosr_lightning.report.detail import detail_table
from prosr_lightning.report.device import cost_table
from prosr_lightning.report.published import structure_rows
from prosr_lightning.report.race import race_table
from prosr_lightning.report.scores import NOT_PUBLISHED, score_table
from prosr_lightning.runs.scored import Run
from prosr_lightning.tables import Table

_TABLE1_SCALE = 4  # its caption: "[4x upscaling]"


def build_table(name: str, runs: Sequence[Run] = (), *, dataset: str = "Set14", scale: int = 4) -> Table:
    """Build a table.

    Args:
        name: One of `TABLES`: the paper's number, "race" for ours with what they cost, "detail" for perceptual
            measures, or "cost" for what every method costs on this device.
        runs: Ours; Table 1 and "cost" take none.
        dataset: Of the times in the race.
        scale: Of "cost".

    Returns:
        The table, for `render`.

    Raises:
        ConfigError: If there is no such table, or the runs do not fit it or each other.
    """
    require_choice("table", name, TABLES)
    if name in ("1", "cost"):
        if runs:
            raise ConfigError(
                f"Table {name} is computed from the networks and takes no runs, got {runs[0].folder}; leave runs out."
            )
        return structure_table() if name == "1" else cost_table(scale)
    if name == "detail":
        return detail_table(runs)
    return race_table(runs, dataset) if name == "race" else score_table(int(name), runs)


def structure_table() -> Table:
    """Lay out Table 1, with the layers and parameters of our networks beside the printed ones.

    Returns:
        The table. Layers are counted twice: those that exist, and those between input and output, which differ where
        weights are shared; "n/a" stands where this package has no such network.
    """
    rows = []
    for printed in structure_rows():
        network = network_of(printed["method"], _TABLE1_SCALE)
        computed = [NOT_PUBLISHED] * 3
        if network is not None:
            scale = 2 if printed["method"] == "ProSRN" else _TABLE1_SCALE  # one level, which is repeated
            path, parameters = longest_path(network, scale), parameters_of(printed["method"], _TABLE1_SCALE)
            computed = [str(count_layers(network)), str(path), f"{parameters:,}"]
        words = [printed[key] for key in ("method", "input", "mode", "layers_at_4x")]
        rows.append((*words, *computed))
    titles = ("Method", "Input", "Mode", "Layers (paper)", "Layers", "Longest path", "Parameters")
    return Table.of_text(
        titles,
        rows,
        words=3,
        title="Table 1 of the paper",
        caption=(
            "Structure of the methods at 4x. Layers (paper): as printed. The rest is computed from our networks. "
            "Layers: convolutions and transposed convolutions that exist. Longest path: those from input to output, "
            "which are more where weights are shared (of ProSRN, one 2x level). Parameters: all learned values."
        ),
    )
