"""Which keys a composed configuration may hold."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.location import conf_dir
from prosr_lightning.errors import ConfigError

_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_recursive_", "_convert_", "_args_"})


def validate(cfg: DictConfig, config_name: str) -> None:
    """Check every key of a composed configuration, also below `_target_` and `_partial_` nodes and in experiment files.

    A node with `_target_` may hold what its constructor takes; any other node what the primary configuration or the
    chosen group file spelled out.

    Args:
        cfg: The composed configuration.
        config_name: The primary configuration it comes from.

    Raises:
        ConfigError: With the path of the wrong key and the nearest valid one.
    """
    allowed = _primary_keys(config_name)
    for key in cfg:
        if key in _GLOBAL_GROUPS:
            raise ConfigError(
                f"The {key} file must begin with the line `# @package _global_`, or its keys stand below {key!r} where "
                "nothing reads them; add the line."
            )
        if str(key) not in allowed:
            raise ConfigError(_unknown(str(key), "the top level", allowed))
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    for key, node in plain.items():
        _validate_node(node, str(key))
    known = known_values()
    for path, value in leaves(plain, ""):
        _validate_value(path, value, known.get(path, []))


def make_lists(cfg: DictConfig) -> None:
    """Put a single value into a list where every file of the tree has one: `data.include=gb82` means `[gb82]`.

    Args:
        cfg: The composed configuration; it is changed.
    """
    for path, values in known_values().items():
        if values and all(isinstance(value, list) for value in values):
            value = OmegaConf.select(cfg, path)
            if value is not None and not OmegaConf.is_config(value):
                OmegaConf.update(cfg, path, [value])


def _validate_node(node: Any, path: str) -> None:  # noqa: ANN401  # YAML
    if isinstance(node, list):
        for number, item in enumerate(node):
            _validate_node(item, f"{path}[{number}]")
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    if isinstance(target, str):
        if getattr(_imported(target, path), "adversarial", False) and "content" in node:
            raise ConfigError(
                "ProSRGAN must be trained by its own losses, got those of the method's authors, which come with "
                "budget=paper; choose budget=cpu or method=prosrn."
            )
        allowed = _parameters(target, path)
        for key in node:
            if allowed is not None and key not in _HYDRA_KEYS and key not in allowed:
                raise ConfigError(_unknown(str(key), f"{path} ({target})", allowed))
    elif path.split(".", maxsplit=1)[0] in _FIXED:
        allowed = _FIXED[path.split(".", maxsplit=1)[0]]
        for key in node:
            if str(key) not in allowed:
                raise ConfigError(_unknown(str(key), path, allowed))
    for key, value in node.items():
        _validate_node(value, f"{path}.{key}")


def _validate_value(path: str, value: Any, known: list[Any]) -> None:  # noqa: ANN401  # YAML
    """Refuse a word where the configuration has numbers or switches, and a fraction where it has whole numbers."""
    if path in _FREE or value is None or not known or (isinstance(value, str) and value.startswith("${")):
        return
    if all(isinstance(one, bool) for one in known):
        if not isinstance(value, bool):
            raise ConfigError(f"{path} must be true or false, got {value!r}; the default is {known[0]!r}.")
    elif all(isinstance(one, int) and not isinstance(one, bool) for one in known):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{path} must be a whole number, got {value!r}; the default is {known[0]!r}.")
    elif all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in known) and (
        isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value)
    ):
        raise ConfigError(f"{path} must be a number, got {value!r}; the default is {known[0]!r}.")


_GLOBAL_GROUPS = frozenset({"experiment", "budget", "debug", "hparams_search", "recipe"})
_FREE = frozenset({"trainer.devices"})  # a number, a list or "auto"

# Nodes without a `_target_`: their keys are read by the entry points.
_FIXED: dict[str, frozenset[str]] = {
    "paths": frozenset({"data_dir", "log_dir", "cache_dir", "output_dir"}),
    "test": frozenset({"method", "benchmarks", "scales", "protocol", "picture", "perceptual"}),
    "sweep": frozenset({"resume"}),
    "callbacks": frozenset({"best", "last", "progress_bar", "learning_rate", "gradient_norm", "throughput", "panels"}),
}


def _parameters(target: str, path: str) -> frozenset[str] | None:
    """Return the argument names a target takes; None if it takes any."""
    signature = inspect.signature(_imported(target, path)).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature):
        return None
    return frozenset(parameter.name for parameter in signature)


def _imported(target: str, path: str) -> Any:  # noqa: ANN401  # a class or a function
    try:
        return get_object(target)
    except Exception as error:
        raise ConfigError(
            f"{path}._target_ must be something that can be imported, got {target!r} ({_first_line(error)}); "
            "check its spelling."
        ) from error


def _primary_keys(config_name: str) -> frozenset[str]:
    """Return the keys of the primary file and the groups of its defaults list."""
    primary = OmegaConf.load(conf_dir() / f"{config_name}.yaml")
    assert isinstance(primary, DictConfig)
    keys = {str(key) for key in primary if key != "defaults"}
    for entry in primary.get("defaults", []):
        if isinstance(entry, DictConfig):
            keys |= {str(key).removeprefix("optional ").removeprefix("override ").strip("/") for key in entry}
    return frozenset(keys)


def known_values() -> dict[str, list[Any]]:
    """Return the values that the files of the tree give each key, null and interpolations left out."""
    return {
        path: [one for one in values if one is not None and not (isinstance(one, str) and one.startswith("${"))]
        for path, values in _file_leaves().items()
    }


def known_paths() -> set[str]:
    """Return every key that a file of the tree has, and the nodes above it."""
    paths = set()
    for path in _file_leaves():
        parts = path.split(".")
        paths |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return {path for path in paths if not path.rsplit(".", maxsplit=1)[-1].startswith("_")}


def _file_leaves() -> dict[str, list[Any]]:
    """Return all values that the files of the tree give each key, as an override would name it."""
    values: dict[str, list[Any]] = {}
    for file in sorted(conf_dir().rglob("*.yaml")):
        group = file.relative_to(conf_dir()).parent.as_posix()
        package = re.search(r"@package (\S+)", file.read_text(encoding="utf-8"))
        prefix = "" if group == "." else group
        if package:
            prefix = "" if package.group(1) == "_global_" else package.group(1)
        for path, value in leaves(_read(file, file.stat().st_mtime_ns), prefix):
            values.setdefault(path, []).append(value)
    return values


@functools.cache
def _read(file: Path, written: int) -> Any:  # noqa: ANN401  # YAML; a file written since is another file
    """Return the values of a file, read once: a sweep checks each of its jobs against the whole tree."""
    return OmegaConf.to_container(OmegaConf.load(file), resolve=False)


def leaves(node: Any, prefix: str) -> Iterable[tuple[str, Any]]:  # noqa: ANN401  # YAML
    """Yield the path and the value of everything that is not a mapping."""
    if not isinstance(node, Mapping):
        yield prefix, node
        return
    for key, value in node.items():
        if key != "defaults":
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))


def _unknown(key: str, where: str, allowed: Iterable[str]) -> str:
    options = sorted(name for name in allowed if name != "self")
    near = difflib.get_close_matches(key, options, n=1, cutoff=0.4)
    hint = f"the nearest valid key is {near[0]!r}" if near else f"valid keys are {', '.join(options)}"
    return f"{where} must not hold the key {key!r}; {hint}."


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
