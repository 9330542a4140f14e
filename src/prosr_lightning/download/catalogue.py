"""What can be downloaded, read from `catalogue.toml`: addresses, checksums, counts and terms."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from prosr_lightning.data.benchmarks import NUM_IMAGES
from prosr_lightning.data.sources import DIV2K_COUNTS


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One zip or tar file that holds the images, usually among other things.

    Args:
        url: Its address.
        sha256: The checksum, if somebody published one.
    """

    url: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Files:
    """Images that are served one by one.

    Args:
        url: The address, with `{number:03d}` or the like where the image's number stands.
        name: The file name an image gets, with the same field.
    """

    url: str
    name: str

    def items(self, count: int) -> list[tuple[str, str]]:
        """Give `(name, url)` of images 1 to `count`."""
        return [(self.name.format(number=number), self.url.format(number=number)) for number in range(1, count + 1)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One folder of images below the data directory.

    Args:
        folder: Its path below the data directory, with forward slashes.
        count: How many images it must hold.
        sources: Where to get it, tried in this order.
        members: Patterns of an archive's wanted members, tried in this order until one matches something; the groups
            `stem` and `suffix` make the name of the file.
        long_side: What the longer side of the largest image must at least measure, in pixels.
    """

    folder: str
    count: int
    sources: tuple[Archive | Files, ...]
    members: tuple[str, ...]
    long_side: int | None = None

    @property
    def leaf(self) -> str:
        """The last word of `folder`."""
        return self.folder.rsplit("/", maxsplit=1)[-1]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set.

    Args:
        title: What people call it.
        parts: Its folders.
        terms: Origin and terms of use, told at download time.
        by_hand: What to do where it may not be fetched by a program; None where it may.
    """

    title: str
    parts: tuple[Part, ...]
    terms: str
    by_hand: str | None = None

    @property
    def name(self) -> str:
        """What the user types."""
        return self.title.lower()


def _dataset(title: str, terms: str, parts: Sequence[Mapping[str, Any]], by_hand: str | None = None) -> Dataset:
    made = tuple(
        Part(
            folder=part["folder"],
            count=_count(part["folder"]),
            sources=tuple(
                Files(**source) if "name" in source else Archive(**source) for source in part.get("sources", ())
            ),
            members=(*part.get("members", ()), ANY_IMAGE),
            long_side=part.get("long_side"),
        )
        for part in parts
    )
    return Dataset(title=title, parts=made, terms=terms, by_hand=by_hand)


def _count(folder: str) -> int:
    split = re.match(r"DIV2K/DIV2K_(train|valid)_", folder)
    return DIV2K_COUNTS[f"DIV2K_{split[1]}_HR"] if split else NUM_IMAGES[folder]


_FACTS = tomllib.loads((files("prosr_lightning") / "download" / "catalogue.toml").read_text(encoding="utf-8"))
ANY_IMAGE: str = _FACTS["any_image"]
DATASETS: Mapping[str, Dataset] = {facts["title"].lower(): _dataset(**facts) for facts in _FACTS["datasets"]}
