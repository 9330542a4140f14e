"""Hydra at the edge: where `conf/` is, what its keys may be, and how an entry point reports what a user got wrong."""

from __future__ import annotations

import difflib
import errno
import functools
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prosr_lightning.errors import ConfigError, ProSRError

log = logging.getLogger(__name__)

_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_recursive_", "_convert_", "_args_"})


def conf_dir() -> Path:
    """Return the folder of the configuration tree: inside an installed package, or `conf/` of a checkout.

    Raises:
        ConfigError: If neither is there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"The configuration tree must be at {package / 'conf'}, found nothing; reinstall the package.")


def hydra_main(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn `def main(cfg)` into a command whose users see one clear line for each mistake.

    Args:
        config_name: The primary configuration, without `.yaml`.

    Returns:
        A decorator. The command checks every key first, prints a `ProSRError` or a wrong override as "error: ..." and
        exits with 1 (130 after Ctrl-C); any other exception keeps its traceback.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def checked(cfg: DictConfig) -> Any:  # noqa: ANN401  # the task's own type
            result: Any = None

            def job() -> None:
                nonlocal result
                validate(cfg, config_name)
                result = task(cfg)

            if code := run_reporting(job):
                raise SystemExit(code)  # passes through Hydra, which would add a line of its own
            return result

        def command() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # raise to us; Hydra would print and exit by itself
            wrapped = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(checked)

            def checked_words() -> None:
                refuse_lists_for_groups(sys.argv[1:])
                wrapped()

            sys.exit(run_reporting(checked_words))

        command.__doc__ = task.__doc__
        return command

    return decorate


def refuse_lists_for_groups(overrides: Iterable[str]) -> None:
    """Refuse `levels=[2,4]` and the like, on which Hydra itself stumbles.

    Args:
        overrides: The words of the command line.

    Raises:
        ConfigError: With the options of the group.
    """
    for override in overrides:
        match = re.match(r"([a-z_/]+)=\[\s*\d", override)
        if match and (conf_dir() / match.group(1)).is_dir():
            names = ", ".join(sorted(path.stem for path in (conf_dir() / match.group(1)).glob("*.yaml")))
            raise ConfigError(f"`{match.group(1)}` must be one of {names}, got {override!r}; choose one of them.")


def run_reporting(command: Callable[[], Any]) -> int:
    """Run a command and report what its user can mend in one line, without a traceback.

    Args:
        command: Takes nothing; what it returns is ignored.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C.
    """
    try:
        command()
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C.", file=sys.stderr)  # noqa: T201  # the command's message to its user
        return 130
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)  # noqa: T201  # the command's message to its user
        return 1
    return 0


def user_message(error: BaseException) -> str | None:
    """Return what to tell the user about an error that is theirs to mend, or None if it is a defect."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for one in chain:
        if isinstance(one, ProSRError):
            return str(one)
    for one in chain:
        if isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            where = f" at {one.filename}" if one.filename else ""
            return f"The disk must have room to write to{where}, got: {one.strerror}; free space or set paths.log_dir."
        if type(one).__name__ == "MisconfigurationException":  # Lightning's, for trainer settings
            return str(one)
    for one in chain:
        if isinstance(one, (HydraException, OmegaConfBaseException)) and str(one).strip():
            return _hydra_message(one)
    return None


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
    "test": frozenset({"method", "benchmarks", "scales", "protocol", "picture"}),
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


def _hydra_message(error: BaseException) -> str:
    """Say what Hydra or OmegaConf found wrong, with the nearest valid key where a key is the reason."""
    text = str(error).strip()
    text = re.sub(r"\n\s*(full_key|object_type|reference_type)[:=].*", "", text)
    text = re.sub(r"To append to your config use \+?.*", "", text).strip()
    match = re.search(r"Could not override '([^']+)'", text)
    if match:
        return _unknown_override(match.group(1), text)
    match = re.search(r"In '[^']+': Could not find '([^']+)'", text) or re.search(r"Could not find '([^']+)'", text)
    if match:
        return _unknown_option(match.group(1), text)
    return " ".join(text.split("\n"))


def _unknown_override(key: str, text: str) -> str:
    known = sorted(_all_keys())
    last = key.rsplit(".", maxsplit=1)[-1]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5) or [
        one
        for one in known
        if one.split(".")[-1] in difflib.get_close_matches(last, [k.split(".")[-1] for k in known], n=1)
    ]
    hint = f"the nearest valid key is {near[0]!r}" if near else "see conf/ for the valid keys"
    return f"The override must name a key of the configuration, got {key!r}; {hint}."


def _unknown_option(option: str, text: str) -> str:
    group, _, name = option.partition("/")
    folder = conf_dir() / group
    if not folder.is_dir():
        return " ".join(text.split("\n"))
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"the nearest is {near[0]!r}; " if near else ""
    return f"`{group}` must be one of {', '.join(names)}, got {name!r}; {hint}choose one of them."


def _all_keys() -> Iterable[str]:
    """Return every key of every file of the tree, as an override would name it."""
    for file in conf_dir().rglob("*.yaml"):
        group = file.relative_to(conf_dir()).parent.as_posix()
        text = file.read_text()
        package = re.search(r"@package (\S+)", text)
        prefix = "" if group == "." else group
        if package:
            prefix = "" if package.group(1) == "_global_" else package.group(1)
        yield from _keys_below(OmegaConf.to_container(OmegaConf.load(file)), prefix)


def _keys_below(node: Any, prefix: str) -> Iterable[str]:  # noqa: ANN401  # YAML
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        if key == "defaults" or str(key).startswith("_"):
            continue
        path = f"{prefix}.{key}" if prefix else str(key)
        yield path
        yield from _keys_below(value, path)


def _unknown(key: str, where: str, allowed: Iterable[str]) -> str:
    options = sorted(name for name in allowed if name != "self")
    near = difflib.get_close_matches(key, options, n=1, cutoff=0.4)
    hint = f"the nearest valid key is {near[0]!r}" if near else f"valid keys are {', '.join(options)}"
    return f"{where} must not hold the key {key!r}; {hint}."


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
