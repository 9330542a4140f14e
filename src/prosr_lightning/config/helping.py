"""The help of a command that Hydra configures: its groups and keys, with what the files of `conf/` say about them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from prosr_lightning.config.location import conf_dir, conf_dirs

_WIDTH = 100
_ASIDE = ("hydra", "logger/shared")  # folders that nobody chooses from


def help_text(config_name: str, words: Sequence[str] = ()) -> str:
    """Return what a command can be told.

    Args:
        config_name: The primary configuration, without `.yaml`.
        words: Of the command line; a group that one of them chooses is shown with its keys.

    Returns:
        What the command does, its groups with their options, and its keys with their values and comments.
    """
    primary = conf_dir() / f"{config_name}.yaml"
    opening = [line[2:] for line in _lines(primary) if line.startswith("# ")]
    chosen = {key: value for key, _, value in (word.partition("=") for word in words)}
    choices = {group: chosen.get(group, option) for group, option in _defaults(primary).items()}
    keys = _keys(primary)
    for group, option in choices.items():
        files = _files(group, option) if option else []
        if held := _keys(*files):
            everywhere = any("# @package _global_" in _lines(path) for path in files)
            keys += ["", f"# {group}={option} sets" if everywhere else f"{group}:", *(f"  {line}" for line in held)]
    groups = [group for group in (*choices, *_used_by(choices)) if len(_options(group)) > 1]
    return "\n".join(
        [
            *opening,
            "",
            "Words are GROUP=OPTION and KEY=VALUE; +KEY=VALUE adds a key; -m tries several values, KEY=1,2.",
            "",
            "Groups",
            *(line for group in groups for line in ("", *_group(group, choices.get(group)))),
            "",
            "Keys",
            "",
            *keys,
        ]
    )


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _listed(path: Path) -> list[str | dict[str, str | None]]:
    """Return the list of defaults of a file."""
    config = OmegaConf.load(path)
    return list(OmegaConf.to_container(config).get("defaults", [])) if OmegaConf.is_dict(config) else []  # type: ignore[union-attr]


def _defaults(path: Path) -> dict[str, str | None]:
    """Return the groups that a file chooses from, and what it chooses; not those whose choice is derived."""
    groups: dict[str, str | None] = {}
    for entry in _listed(path):
        for group, option in entry.items() if isinstance(entry, dict) else ():
            name = re.sub(r"^(override |optional )*/?|@.*$", "", str(group))
            if "${" not in str(option) and name not in _ASIDE:
                groups[name] = option
    return groups


def _used_by(choices: dict[str, str | None]) -> dict[str, str | None]:
    """Return the groups that the chosen files choose from in their turn: a method its structure."""
    used: dict[str, str | None] = {}
    for group, option in choices.items():
        for path in _files(group, option) if option else ():
            used |= {name: own for name, own in _defaults(path).items() if name not in choices}
    return used


def _files(group: str, option: str) -> list[Path]:
    """Return the file of an option, those it is based on first."""
    for folder in conf_dirs():
        path = folder / group / f"{option}.yaml"
        if path.is_file():
            bases = [base for base in _listed(path) if isinstance(base, str) and base != "_self_"]
            return [file for base in bases for file in _files(group, base)] + [path]
    return []


def _options(group: str) -> dict[str, Path]:
    return {path.stem: path for folder in conf_dirs() for path in sorted((folder / group).glob("*.yaml"))}


def _group(group: str, chosen: str | None) -> list[str]:
    options = {name: path for name, path in _options(group).items() if name != "shared"}
    lines = [f"{group}={chosen}" if chosen else group]
    for name, path in options.items():
        said = " ".join(line[2:] for line in _opening(path))
        first = re.split(r"(?<=\.)(?<!Fig\.|Sec\.|\sal\.)\s", said, maxsplit=1)[0]
        lines += textwrap.wrap(first, _WIDTH, initial_indent=f"  {name:<20} ", subsequent_indent=" " * 23) or [
            f"  {name}"
        ]
    return lines


def _opening(path: Path) -> list[str]:
    """Return the lines of comment that a file opens with."""
    lines = [line for line in _lines(path) if not line.startswith("# @package")]
    return lines[: next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))]


def _keys(*paths: Path) -> list[str]:
    """Return the keys of files, with their comments, but not what the files say of themselves or build on."""
    kept: list[str] = []
    for path in paths:
        body = [line for line in _lines(path) if not line.startswith("#")]
        start = next((number for number, line in enumerate(body) if line.startswith("defaults:")), None)
        if start is not None:
            end = start + 1
            while end < len(body) and body[end].startswith((" ", "-")):
                end += 1
            del body[start:end]
        own = {line.partition(":")[0] for line in body if line[:1].isalpha()}
        kept = [line for line in kept if line.partition(":")[0] not in own]  # what the later file says
        kept += [line for line in body if not line.startswith("_target_")]
    return [line for number, line in enumerate(kept) if line or (number and kept[number - 1])]
