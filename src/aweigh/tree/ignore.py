"""Ignore files: git's syntax, compiled so that most names cost one set look-up."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.tree.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.tree.glob import Glob

__all__ = [
    "Ignores",
    "Pattern",
    "Source",
    "Table",
    "key",
    "parse_lines",
    "parse_pattern",
]

_BOM: Final = b"\xef\xbb\xbf"


def key(name: str) -> str:
    """Turn a name into the form patterns compare: a character for each byte."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One line of an ignore file.

    Attributes:
        text: The line itself, as `key`.
        shown: The line and where it stands, as people are told.
        negated: Whether it takes names back in.
        folders_only: Whether it matches nothing but directories.
        glob: What it matches.
    """

    text: str
    shown: str
    negated: bool
    folders_only: bool
    glob: Glob


def parse_pattern(text: str, *, shown: str) -> Pattern | None:
    """Read one pattern; None if it can match nothing.

    Args:
        text: The pattern as latin-1 text, see `key`.
        shown: What `Pattern.shown` becomes.
    """
    negated = text.startswith("!")
    body = text[1:] if negated else text
    folders_only = body.endswith("/")
    glob = compile_glob(body[:-1] if folders_only else body)
    if glob is None:
        return None
    return Pattern(
        text=text, shown=shown, negated=negated, folders_only=folders_only, glob=glob
    )


def parse_lines(content: bytes, *, name: str) -> tuple[Pattern, ...]:
    """Read an ignore file (gitignore(5), and dir.c where that is silent)."""
    patterns: list[Pattern] = []
    lines = content.removeprefix(_BOM).decode("latin-1").split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        # Git's lines are C strings: they end at a NUL.
        text = _trim(line.removesuffix("\r").partition("\0")[0])
        shown = text.encode("latin-1").decode("utf-8", "backslashreplace")
        pattern = parse_pattern(text, shown=f"{name}:{number}: {shown}")
        if pattern is not None:
            patterns.append(pattern)
    return tuple(patterns)


def _trim(line: str) -> str:
    """Drop spaces at the end, unless a backslash keeps them."""
    if not line.endswith(" "):
        return line
    index, end = 0, 0
    while index < len(line):
        char = line[index]
        if char == "\\":
            if index + 1 == len(line):
                return line
            index += 1
        index += 1
        if char != " ":
            end = index
    return line[:end]


@dataclass(frozen=True, slots=True)
class Source:
    """The patterns of one ignore file and the folder they count from.

    Attributes:
        base: The folder, as `key`, with a final slash; empty for the outermost one.
        patterns: In the order of the file: later ones win.
    """

    base: str
    patterns: tuple[Pattern, ...]


class Ignores:
    """All patterns that count somewhere below a directory, the strongest first."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Line up the patterns of sources; an earlier source beats a later one."""
        self._sources = tuple(sources)
        self._lines = [
            (pattern, source.base)
            for source in self._sources
            for pattern in reversed(source.patterns)
        ]
        self._somewhere = [
            (index, len(base), pattern.glob.folder)
            for index, (pattern, base) in enumerate(self._lines)
            if pattern.glob.folder is not None
        ]
        self._tables: dict[tuple[int, ...], Table] = {}

    def table(self, folder: str) -> Table:
        """Pick the patterns that can match a name in one folder.

        Args:
            folder: The folder's path as `key`, with a final slash, or empty.
        """
        live = tuple(
            index
            for index, base, where in self._somewhere
            if _is_in(folder[base:], where)
        )
        table = self._tables.get(live)
        if table is None:
            elsewhere = {index for index, _, _ in self._somewhere}.difference(live)
            table = Table(
                line for index, line in enumerate(self._lines) if index not in elsewhere
            )
            self._tables[live] = table
        return table


def _is_in(folder: str, where: re.Pattern[str] | str) -> bool:
    if isinstance(where, str):
        return folder == where
    return where.fullmatch(folder) is not None


class Table:
    """The patterns for the names of one folder, by what they look at.

    Attributes:
        digest: 16 bytes that stand for the patterns, their order and their bases:
            with the same ones a name of a folder meets the same fate.
    """

    __slots__ = (
        "_endings",
        "_extensions",
        "_literals",
        "_named",
        "_patterns",
        "_quick",
        "_suffixes",
        "_whole",
        "digest",
    )

    def __init__(self, lines: Iterable[tuple[Pattern, str]]) -> None:
        """Sort patterns, strongest first, each with the base of its source."""
        digest = hashlib.blake2b(digest_size=16)
        self._patterns: list[Pattern] = []
        self._literals: dict[str, list[int]] = {}
        # "*.log" and its like are looked up by what follows the last dot.
        self._extensions: dict[str, list[int]] = {}
        self._endings: list[tuple[int, str]] = []
        self._named: list[tuple[int, re.Pattern[str]]] = []
        self._whole: list[tuple[int, int, re.Pattern[str]]] = []
        for index, (pattern, base) in enumerate(lines):
            self._patterns.append(pattern)
            self._add(index, pattern.glob, len(base))
            # Neither a line nor a folder has a NUL; latin-1 is a byte each.
            digest.update(f"{base}\0{pattern.text}\0".encode("latin-1"))
        self.digest = digest.digest()
        self._suffixes = tuple(suffix for _, suffix in self._endings)
        regex = "|".join(f"(?:{named.pattern})" for _, named in self._named)
        self._quick = re.compile(regex, re.DOTALL).fullmatch if regex else None

    def _add(self, index: int, glob: Glob, base: int) -> None:
        if glob.whole is not None:
            self._whole.append((index, base, glob.whole))
        elif glob.literal is not None:
            self._literals.setdefault(glob.literal, []).append(index)
        elif glob.suffix is not None:
            if glob.suffix.rfind(".") == 0:
                self._extensions.setdefault(glob.suffix[1:], []).append(index)
            else:
                self._endings.append((index, glob.suffix))
        elif glob.name is not None:
            self._named.append((index, glob.name))

    def first(self, name: str, folder: str, *, is_folder: bool) -> Pattern | None:
        """Find the strongest pattern that matches a name of the folder.

        Args:
            name: The name, as `key`.
            folder: The folder, as `Ignores.table` was given it.
            is_folder: Whether the name is a directory's.
        """
        if (
            name not in self._literals
            and name.rpartition(".")[2] not in self._extensions
            and not name.endswith(self._suffixes)
            and (self._quick is None or self._quick(name) is None)
            and not self._whole
        ):
            return None
        for index in sorted(self._matching(name, folder)):
            pattern = self._patterns[index]
            if is_folder or not pattern.folders_only:
                return pattern
        return None

    def _matching(self, name: str, folder: str) -> list[int]:
        found = list(self._literals.get(name, ()))
        _, dot, extension = name.rpartition(".")
        if dot:
            found += self._extensions.get(extension, ())
        found += [index for index, suffix in self._endings if name.endswith(suffix)]
        found += [index for index, named in self._named if named.fullmatch(name)]
        found += [
            index
            for index, base, whole in self._whole
            if whole.fullmatch(folder[base:] + name)
        ]
        return found
