"""Which keys a composed configuration may hold."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.location import conf_dir, conf_dirs
from prosr_lightning.config.signatures import signature_of
from prosr_lightning.config.tree import FREE, TREE
from prosr_lightning.errors import ConfigError

_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_recursive_", "_convert_", "_args_"})


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_KINDS: Mapping[str, Callable[[Any], bool]] = {  # of values, the narrower before the wider
    "true or false": lambda value: isinstance(value, bool),
    "a whole number": _is_whole,
    "a number": lambda value: _is_whole(value) or (isinstance(value, float) and not math.isnan(value)),
}


def validate(cfg: DictConfig, config_name: str) -> None:
    """Check every key of a composed configuration, also below `_target_` and `_partial_` nodes and in experiment files.

    A node with `_target_` may hold what its constructor takes; any other node what the primary configuration or the
    chosen group file spelled out. Below `callbacks` and `logger` any name may hold a node with `_target_`.

    Raises:
        ConfigError: With the path of the wrong key and the nearest valid one.
    """
    own = primary(config_name)
    allowed = _primary_keys(own)
    plain = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=False))
    for key, node in plain.items():
        if key in TREE and TREE[key].package and isinstance(node, Mapping):  # `method` of evaluate is a word
            raise ConfigError(
                f"The {key} file must begin with the line `# @package {TREE[key].package}`, or its keys stand below "
                f"{key!r} where nothing reads them; add the line."
            )
        if key not in allowed:
            raise ConfigError(_unknown(key, "the top level", allowed))
    paths = known_paths()
    _require_parts(plain, own, paths)
    for key, node in plain.items():
        _validate_node(node, key, paths)
    known = known_values()
    for path, value in leaves(plain, ""):
        _validate_value(path, value, known.get(path, []))


def _require_parts(plain: Mapping[str, Any], own: DictConfig, paths: Collection[str]) -> None:
    """Refuse a part that was taken out, or replaced by a word."""
    targets = known_values()
    for key, part in TREE.items():
        if part.package or key not in _primary_keys(own) or key == "hydra":
            continue
        remedy = f"leave it as it is; {part.instead}" if part.instead else "leave it as it is"
        node = any(path.startswith(f"{key}.") for path in paths)
        whole = isinstance(plain.get(key), Mapping) and ("_target_" in plain[key] or f"{key}._target_" not in targets)
        if key not in plain or (isinstance(plain[key], Mapping) and not whole):
            raise ConfigError(f"The configuration must have the key {key!r}, but it was taken out; {remedy}.")
        if node and not isinstance(plain[key], Mapping) and not (plain[key] is None and key == "scheduler"):
            raise ConfigError(f"`{key}` must be a group of settings, got {plain[key]!r}; {remedy}.")


def make_lists(cfg: DictConfig) -> None:
    """Put a single value into a list where every file of the tree has one: `data.include=gb82` means `[gb82]`."""
    for path, values in known_values().items():
        if values and all(isinstance(value, list) for value in values):
            value = OmegaConf.select(cfg, path)
            if value is not None and not OmegaConf.is_config(value):
                OmegaConf.update(cfg, path, [value])


def _validate_node(node: Any, path: str, paths: Collection[str]) -> None:  # noqa: ANN401  # YAML
    if isinstance(node, list):
        for number, item in enumerate(node):
            _validate_node(item, f"{path}[{number}]", paths)
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    if isinstance(target, str):
        _validate_arguments(node, target, path)
    elif path in TREE:
        _validate_names(node, path, _children(path, paths))
    for key, value in node.items():
        _validate_node(value, f"{path}.{key}", paths)


def _validate_names(node: Mapping[Any, Any], path: str, known: list[str]) -> None:
    """Compare the keys of a node without a target with those that the files spell out."""
    for key, value in node.items():
        if key in known or (TREE[path].open and isinstance(value, Mapping) and "_target_" in value):
            continue
        another = f" Another needs a class: +{path}.{key}._target_=" if TREE[path].open else ""
        raise ConfigError(_unknown(str(key), path, known) + another)
    for key in known:
        if key not in node and not TREE[path].open:
            raise ConfigError(f"`{path}.{key}` must be there, but it was taken out; leave it as it is.")


def _validate_arguments(node: Mapping[Any, Any], target: str, path: str) -> None:
    """Compare the keys of a node with what its target takes, and null with what that allows."""
    taken = parameters(target, path)
    if taken is None:
        return
    for key, value in node.items():
        if key in _HYDRA_KEYS:
            continue
        if key not in taken:
            _refuse(str(key), target, path, taken)
        default, kind = taken[key].default, str(taken[key].annotation)
        plain = any(word in kind for word in ("int", "float", "bool", "str")) and not re.search("None|Optional", kind)
        if value is None and plain and default not in (None, inspect.Parameter.empty):
            raise ConfigError(f"{path}.{key} must have a value, got null; the default is {default!r}.")


def _refuse(key: str, target: str, path: str, taken: Iterable[str]) -> NoReturn:
    if key == "content" and path == "model":
        raise ConfigError(
            f"{target.rpartition('.')[2]} must be trained by its own losses, got those of the method's authors, which "
            "come with budget=paper; choose budget=cpu or method=prosrn."
        )
    raise ConfigError(_unknown(key, f"{path} ({target})", taken))


def _children(path: str, paths: Collection[str]) -> list[str]:
    return sorted({key.removeprefix(f"{path}.").partition(".")[0] for key in paths if key.startswith(f"{path}.")})


def _validate_value(path: str, value: Any, known: list[Any]) -> None:  # noqa: ANN401  # YAML
    """Refuse a word where the configuration has numbers or switches, and a fraction where it has whole numbers."""
    if path in FREE or value is None or not known or (isinstance(value, str) and value.startswith("${")):
        return
    for words, fits in _KINDS.items():
        if all(map(fits, known)):
            if not fits(value):
                raise ConfigError(f"{path} must be {words}, got {value!r}; the default is {known[0]!r}.")
            return


def parameters(target: str, path: str) -> Mapping[str, inspect.Parameter] | None:
    """Return the arguments a target takes, by name; None if it takes any.

    Raises:
        ConfigError: If it cannot be imported.
    """
    try:
        signature = signature_of(target).parameters
    except Exception as error:
        raise ConfigError(
            f"{path}._target_ must be something that can be imported, got {target!r} ({_first_line(error)}); "
            "check its spelling."
        ) from error
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.values()):
        return None
    return signature


def primary(config_name: str) -> DictConfig:
    """Return the primary configuration of a command, as it stands in its file."""
    config = OmegaConf.load(conf_dir() / f"{config_name}.yaml")
    assert isinstance(config, DictConfig)
    return config


def _primary_keys(own: DictConfig) -> frozenset[str]:
    """Return the keys of the primary file and the groups of its defaults list."""
    keys = {str(key) for key in own if key != "defaults"}
    for entry in own.get("defaults", []):
        if isinstance(entry, DictConfig):
            keys |= {str(key).removeprefix("optional ").removeprefix("override ").strip("/") for key in entry}
    return frozenset(keys)


def known_values() -> dict[str, list[Any]]:
    """Return the values that the files of the tree give each key, null and interpolations left out."""
    return {
        path: [
            value for value in values if value is not None and not (isinstance(value, str) and value.startswith("${"))
        ]
        for path, values in _file_leaves([conf_dir()]).items()
    }


def known_paths(*, own: bool = False) -> set[str]:
    """Return every key that a file of the tree has, and the nodes above it.

    Args:
        own: Also those of the folder that `--config-dir` names, which may be mistyped.
    """
    paths = set()
    for path in _file_leaves(conf_dirs() if own else [conf_dir()]):
        parts = path.split(".")
        paths |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return {path for path in paths if not path.rsplit(".", maxsplit=1)[-1].startswith("_")}


def _file_leaves(folders: Iterable[Path]) -> dict[str, list[Any]]:
    """Return all values that the files of the folders give each key, as an override would name it."""
    values: dict[str, list[Any]] = {}
    files = [(file, folder) for folder in folders for file in sorted(folder.rglob("*.yaml"))]
    for file, folder in files:
        group = file.relative_to(folder).parent.as_posix()
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
