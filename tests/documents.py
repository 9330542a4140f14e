"""The code blocks of the documents: which there are, and which of them are said not to be run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for path in (*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"))
    if "notebooks" not in path.parts  # made of the notebooks, which have a test of their own
)
_FENCE = re.compile(r"(?P<before>[^\n]*)\n\n?(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^\2```$", re.M | re.S)
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->$")
_PAGE_NOT_RUN = re.compile(r"^<!-- none of this page is run: .+ -->$", re.M)


@dataclass(frozen=True)
class Block:
    """A code block; `line` is where it begins."""

    document: Path
    line: int
    before: str
    language: str
    text: str
    run: bool

    def __str__(self) -> str:
        return f"{self.document.relative_to(REPOSITORY)}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    page = _PAGE_NOT_RUN.search(text) is None
    return [
        Block(
            document=document,
            line=text[: found.start("language")].count("\n") + 1,
            before=found["before"],
            language=found["language"],
            text=found["text"],
            run=page and _NOT_RUN.search(found["before"]) is None,
        )
        for found in _FENCE.finditer("\n" + text)
    ]
