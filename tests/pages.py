"""The pages of the documentation, and the blocks in them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "blocks", "named", "prose", "spans"]

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "benchmarks" / "RESULTS.md",
    )
    if "_build" not in page.parts
)
_FENCE = re.compile(r"^( *)(```+)([\w{}-]*)\n(.*?)^\1\2$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: its language and its text."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        """Name it in the output of pytest."""
        line = self.page.read_text().partition(self.text)[0].count("\n")
        return f"{named(self.page)}:{line}"


def named(page: Path) -> str:
    """Name a page in the output of pytest."""
    return page.relative_to(ROOT).as_posix()


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages that are written in one of these languages."""
    return [
        Block(page, language, inspect.cleandoc(f"\n{text}"))
        for page in PAGES
        for _, _, language, text in _FENCE.findall(page.read_text())
        if language in languages
    ]


def spans(page: Path) -> list[str]:
    """Return what stands between backticks in a page's sentences and tables."""
    found = _SPAN.findall(prose(page))
    return [" ".join(text.split()).replace("\\|", "|") for text in found]


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", page.read_text())
