"""A configuration to look at."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

_WIDTH = 10_000  # no line is broken


def as_tree(cfg: Any) -> str:  # noqa: ANN401  # a DictConfig, or plain values
    """Return a configuration as a tree, resolved, a line for each key.

    Args:
        cfg: The whole, or a part.
    """
    tree = Tree("config")
    _grow(tree, OmegaConf.to_container(cfg, resolve=True))
    lines = io.StringIO()
    # a notebook would show it, and the text would be empty
    Console(file=lines, width=_WIDTH, color_system=None, legacy_windows=False, force_jupyter=False).print(tree)
    return "".join(f"{line.rstrip()}\n" for line in lines.getvalue().splitlines())


def _grow(tree: Tree, node: Any) -> None:  # noqa: ANN401  # plain values
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            _grow(tree.add(Text(str(key))), value)
        else:
            tree.add(Text(f"{key}: {'null' if value is None else value}"))
