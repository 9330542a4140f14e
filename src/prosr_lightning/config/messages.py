"""What to tell a user about an error that is theirs to mend."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prosr_lightning.config.location import conf_dir
from prosr_lightning.errors import ProSRError


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
