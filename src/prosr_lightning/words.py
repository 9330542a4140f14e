"""Commands that take `key=value` words, in any order, as training does."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

from prosr_lightning.errors import ConfigError


class WordParser(argparse.ArgumentParser):
    """A parser of `key=value` words, which are `--key=value` to argparse; what is wrong is a `ConfigError`.

    Args:
        doc: What `-h` prints; it explains the keys.
    """

    def __init__(self, doc: str) -> None:
        super().__init__(usage=argparse.SUPPRESS, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.keys: list[str] = []

    def add_word(self, key: str, **settings: Any) -> None:  # noqa: ANN401  # those of `add_argument`
        """Add a key."""
        self.keys.append(key)
        self.add_argument(f"--{key}", help=argparse.SUPPRESS, **settings)

    def parse_words(self, words: Sequence[str], *, others: bool = False) -> tuple[argparse.Namespace, list[str]]:
        """Parse the words of a command line.

        Returns:
            The values, and the words of other keys.

        Raises:
            ConfigError: If a word has no such form, its key is unknown or given twice, or its value is not allowed.
        """
        own: dict[str, str] = {}
        left = []
        for word in words:
            key, equals, _ = word.partition("=")
            if not equals:
                raise ConfigError(f"A word must be key=value, got {word!r}; the keys are {', '.join(self.keys)}.")
            if key in own:
                raise ConfigError(f"`{key}` must be given once, got it twice; put several into one {key}=[A,B].")
            near = difflib.get_close_matches(key, self.keys, n=1, cutoff=0.8 if others else 0.4)
            if key in self.keys:
                own[key] = f"--{word}"
            elif others and not near:
                left.append(word)
            else:
                hint = f"the nearest valid key is {near[0]!r}" if near else f"the keys are {', '.join(self.keys)}"
                raise ConfigError(f"A word must have a known key, got {key!r}; {hint}.")
        return self.parse_args(list(own.values())), left

    def error(self, message: str) -> NoReturn:
        """Raise what argparse finds wrong with a value."""
        key, _, reason = message.removeprefix("argument --").partition(": ")
        raise ConfigError(f"`{key}`: {reason}; -h explains the words.")


def quoted(value: object) -> str:
    """Return a value of a word as Hydra reads it, whatever signs are in it."""
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def split_list(text: str) -> tuple[str, ...]:
    """Split `[a, b]` at commas outside of round brackets and quotes; text without square brackets is one item.

    Examples:
        >>> split_list("[a,ProSRN (2x, 4x)=b]")
        ('a', 'ProSRN (2x, 4x)=b')
    """
    if not (text.startswith("[") and text.endswith("]")):
        return (text,) if text else ()
    items, depth, quote = [""], 0, ""
    for sign in text[1:-1]:
        if sign in "\"'" and quote in ("", sign):
            quote = "" if quote else sign
            continue
        depth += (sign == "(") - (sign == ")") if not quote else 0
        if sign == "," and depth == 0 and not quote:
            items.append("")
        else:
            items[-1] += sign
    return tuple(item.strip() for item in items if item.strip())
