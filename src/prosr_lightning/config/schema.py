"""Which keys a composed configuration may hold."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
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
        if str(key) not in allowed:
            raise ConfigError(_unknown(str(key), "the top level", allowed))
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    for key, node in plain.items():
        _validate_node(node, str(key))


def _validate_node(node: Any, path: str) -> None:  # noqa: ANN401  # YAML
    if isinstance(node, list):
        for number, item in enumerate(node):
            _validate_node(item, f"{path}[{number}]")
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    if isinstance(target, str):
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


# Nodes without a `_target_`: their keys are read by the entry points.
_FIXED: dict[str, frozenset[str]] = {
    "paths": frozenset({"data_dir", "log_dir", "cache_dir", "output_dir"}),
    "test": frozenset({"method", "benchmarks", "scales", "protocol", "picture", "perceptual"}),
    "callbacks": frozenset({"best", "last", "progress_bar", "learning_rate", "panels"}),
}


def _parameters(target: str, path: str) -> frozenset[str] | None:
    """Return the argument names a target takes; None if it takes any."""
    try:
        found = get_object(target)
    except Exception as error:
        raise ConfigError(
            f"{path}._target_ must be something that can be imported, got {target!r} ({_first_line(error)}); "
            "check its spelling."
        ) from error
    signature = inspect.signature(found).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature):
        return None
    return frozenset(parameter.name for parameter in signature)


def _primary_keys(config_name: str) -> frozenset[str]:
    """Return the keys of the primary file and the groups of its defaults list."""
    primary = OmegaConf.load(conf_dir() / f"{config_name}.yaml")
    assert isinstance(primary, DictConfig)
    keys = {str(key) for key in primary if key != "defaults"}
    for entry in primary.get("defaults", []):
        if isinstance(entry, DictConfig):
            keys |= {str(key).removeprefix("optional ").removeprefix("override ").strip("/") for key in entry}
    return frozenset(keys)


def _unknown(key: str, where: str, allowed: Iterable[str]) -> str:
    options = sorted(name for name in allowed if name != "self")
    near = difflib.get_close_matches(key, options, n=1, cutoff=0.4)
    hint = f"the nearest valid key is {near[0]!r}" if near else f"valid keys are {', '.join(options)}"
    return f"{where} must not hold the key {key!r}; {hint}."


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
