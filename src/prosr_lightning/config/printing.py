"""A configuration to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from rich.text import Text
from rich.tree import Tree


def as_tree(cfg: Any) -> Tree:  # noqa: ANN401  # a DictConfig, or plain values
    """Return a configuration as a tree to print, resolved.

    Args:
        cfg: The whole, or a part.
    """
    tree = Tree(Text("config"))
    _grow(tree, OmegaConf.to_container(cfg, resolve=True))
    return tree


def _grow(tree: Tree, node: Any) -> None:  # noqa: ANN401  # plain values
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            _grow(tree.add(Text(str(key))), value)
        else:
            tree.add(Text(f"{key}: {'null' if value is None else value}", overflow="fold"))
