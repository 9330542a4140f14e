"""What a tracked run is filed under: its configuration and its results as values, without this machine's folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from prosr_lightning.networks.contract import count_layers, count_parameters
from prosr_lightning.runs.record import RunRecord


def describe_network(network: nn.Module, levels: tuple[int, ...]) -> dict[str, Any]:
    """Return what runs are compared by and the configuration does not say.

    Returns:
        Its class, learned values, convolutions (the count of Table 1), and the levels as one word, `x2_x4`.
    """
    return {
        "name": type(network).__name__,
        "parameters": count_parameters(network),
        "layers": count_layers(network),
        "levels": "_".join(f"x{level}" for level in levels),
    }


def without_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved configuration with its values as they are, but for the folders of this machine.

    Args:
        config: As resolved; its group `paths` is left out.

    Returns:
        A path below one of `paths` begins with that key instead, another absolute one is its last part.

    Examples:
        >>> without_folders({"depth": 4, "data": {"train_dir": "/disk/DIV2K/train"}, "paths": {"data_dir": "/disk"}})
        {'depth': 4, 'data': {'train_dir': 'data_dir/DIV2K/train'}}
    """
    folders = {Path(str(folder)): key for key, folder in config.get("paths", {}).items()}
    by_length = dict(sorted(folders.items(), key=lambda pair: -len(pair[0].parts)))
    return {key: _without(value, by_length) for key, value in config.items() if key != "paths"}


def summary_of(record: RunRecord) -> dict[str, Any]:
    """Return the results of a run by the names of the columns of a sweep's table.

    Returns:
        `status`, `parameters`, `layers`, `samples`, `seconds`, `cpu_seconds`, `val/best` and
        `test/<set>/x<scale>/psnr` and `.../ssim`; what is not known is left out.
    """
    numbers = {key: getattr(record, key) for key in ("parameters", "layers", "samples", "seconds", "cpu_seconds")}
    best = {"val/best": record.val.get("best")}
    test = {f"test/{key.removeprefix('test/')}": value for key, value in record.test.items()}
    return {
        "status": record.status,
        **{key: value for key, value in (numbers | best | test).items() if value is not None},
    }


def _without(value: Any, folders: Mapping[Path, str]) -> Any:  # noqa: ANN401  # plain values
    if isinstance(value, Mapping):
        return {key: _without(item, folders) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(item, folders) for item in value]
    if not isinstance(value, (str, Path)) or "/" not in (text := str(value)).replace("\\", "/"):
        return value
    path = Path(text)
    for folder, key in folders.items():
        if path.is_relative_to(folder) and (folder.parts or not path.is_absolute()):
            return (Path(key) / path.relative_to(folder)).as_posix()
    return path.name if path.is_absolute() or text.startswith("~") else value
