"""Entries of a tree as columns: an object for each takes longer than its digest."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.oci.digest import Digest
from aweigh.tree.entry import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DIRECTORY", "EXECUTABLE", "PLAIN", "SYMLINK", "Rows", "kind_of"]

PLAIN: Final = ord("f")
EXECUTABLE: Final = ord("x")
SYMLINK: Final = ord("l")
DIRECTORY: Final = ord("d")
_OWNER_EXECUTES: Final = stat.S_IXUSR


def kind_of(mode: int) -> int:
    """Say what a file or a symlink is, by its mode."""
    if stat.S_ISLNK(mode):
        return SYMLINK
    return EXECUTABLE if mode & _OWNER_EXECUTES else PLAIN


@dataclass(frozen=True, slots=True)
class Rows:
    """Some entries that follow each other.

    Attributes:
        paths: As the file system has them.
        kinds: `PLAIN`, `EXECUTABLE`, `SYMLINK` or `DIRECTORY` for each.
        sizes: Bytes of the files' contents, 0 for others.
        contents: The SHA-256 of a file's content, 32 bytes; the text of a symlink;
            nothing for an empty directory.
    """

    paths: list[bytes]
    kinds: bytes
    sizes: list[int]
    contents: list[bytes]

    @classmethod
    def directory(cls, path: bytes) -> Rows:
        """One empty directory."""
        return cls([path], bytes([DIRECTORY]), [0], [b""])

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def odd(self) -> bool:
        """Whether not all are files."""
        return SYMLINK in self.kinds or DIRECTORY in self.kinds

    def part(self, start: int, stop: int) -> Rows:
        """Some of these."""
        if not start and stop == len(self.paths):
            return self
        return Rows(
            self.paths[start:stop],
            self.kinds[start:stop],
            self.sizes[start:stop],
            self.contents[start:stop],
        )

    def entries(self) -> Iterator[Entry]:
        """The same as objects."""
        rows = zip(self.paths, self.kinds, self.sizes, self.contents, strict=True)
        for raw, kind, size, content in rows:
            path = os.fsdecode(raw)
            if kind == SYMLINK:
                target = os.fsdecode(content)
                yield Entry(path, Kind.SYMLINK, False, 0, None, target)
            elif kind == DIRECTORY:
                yield Entry(path, Kind.DIRECTORY, False, 0, None)
            else:
                digest = Digest(content.hex())
                yield Entry(path, Kind.FILE, kind == EXECUTABLE, size, digest)
