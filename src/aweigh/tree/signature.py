"""What is remembered of a directory: names, stat data and digests, packed.

A section holds a directory, or as many of its names as are looked at together::

    section: head, path; names joined by NUL;
             five 64-bit numbers for each name (`aweigh.tree.digests.Identity`);
             number and bytes of the regular files;
             32 bytes for each name: SHA-256 of a file's content or a symlink's text
    head:    lengths of path and names, number of names, number of the part, device of
             the directory, whether it is an entry when it is empty, digest of the rules

An mtime of `UNTRUSTED` marks a file that must be read again. The digest of the rules
is that of the patterns by which every file of the section was taken and none is a
symlink, else zeros: where all else is equal too, nothing has to be decided again.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from itertools import chain
from typing import Final

__all__ = [
    "DIGEST",
    "FIELDS",
    "NO_RULES",
    "ROW",
    "UNTRUSTED",
    "Draft",
    "Drafts",
    "Facts",
    "Section",
    "numbers_of",
    "place",
]

FIELDS: Final = 5
DIGEST: Final = 32
UNTRUSTED: Final = -(1 << 63)
NO_RULES: Final = bytes(16)
ROW: Final = FIELDS * 8
_HEAD: Final = struct.Struct("<IIIIQ?16s")
_TOTALS: Final = struct.Struct("<QQ")
# What drafts share: large enough to be given back to the system.
_BLOCK: Final = 1 << 20
_SIGNED: Final = (1 << 63) - 1
_MTIME: Final = 2
_TIMES: Final = (2, 3)


def place(path: bytes, part: int) -> bytes:
    """Name a section; no path of a file has a NUL."""
    return b"%s\0%d" % (path, part) if part else path


def numbers_of(rows: list[tuple[int, int, int, int, int]]) -> array[int]:
    """Write rows of numbers in one go; an inode may be too large for its sign."""
    form = f"={len(rows) * FIELDS}q"
    try:
        packed = struct.pack(form, *chain.from_iterable(rows))
    except struct.error:
        signed = [(*row[:-1], row[-1] & _SIGNED) for row in rows]
        packed = struct.pack(form, *chain.from_iterable(signed))
    stats = array("q")
    stats.frombytes(packed)
    return stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one directory holds, apart from the contents.

    Attributes:
        path: Below the root, with a final slash; empty for the root.
        names: Its files and symlinks, as `aweigh.tree.names.joined` has them.
        stats: Five numbers for each name.
        device: Where it is.
        kept_empty: Whether it is an entry when nothing in it is.
        rules: `Table.digest` when these took every file, else `NO_RULES`.
        part: Which part of a large directory this is, from 0.
    """

    path: bytes
    names: bytes
    stats: array[int]
    device: int
    kept_empty: bool
    rules: bytes
    part: int = 0

    def head(self) -> bytes:
        """How a section with these facts begins; equal only if all of them are."""
        return self._head(self.stats)

    def section(
        self, digests: bytes, *, files: int, size: int, settled: int
    ) -> tuple[Section, bool]:
        """Add the contents; files that are younger than ``settled`` are marked.

        Returns:
            The section, and whether no file had to be marked.
        """
        stats = self.stats
        young = any(max(stats[time::FIELDS], default=0) >= settled for time in _TIMES)
        if young:
            stats = array("q", stats)
            for index in range(_MTIME, len(stats), FIELDS):
                if max(stats[index], stats[index + 1]) >= settled:
                    stats[index] = UNTRUSTED
        parts = (self._head(stats), _TOTALS.pack(files, size), digests)
        return Section(b"".join(parts), 0), not young

    def _head(self, stats: array[int]) -> bytes:
        head = _HEAD.pack(
            len(self.path),
            len(self.names),
            len(stats) // FIELDS,
            self.part,
            self.device,
            self.kept_empty,
            self.rules,
        )
        return b"".join((head, self.path, self.names, stats.tobytes()))


class Draft:
    """Facts that wait for their contents, packed: objects take twice the memory."""

    __slots__ = ("_block", "_start")

    def __init__(self, block: bytearray, start: int) -> None:
        """Find them in a block."""
        self._block, self._start = block, start

    def facts(self) -> Facts:
        """The facts, as they were."""
        block, start = self._block, self._start
        head = _HEAD.unpack_from(block, start)
        path, names, count, part, device, kept_empty, rules = head
        names_at = start + _HEAD.size + path
        stats_at = names_at + names
        stats = array("q")
        stats.frombytes(block[stats_at : stats_at + count * ROW])
        return Facts(
            path=bytes(block[start + _HEAD.size : names_at]),
            names=bytes(block[names_at:stats_at]),
            stats=stats,
            device=device,
            kept_empty=kept_empty,
            rules=rules,
            part=part,
        )


class Drafts:
    """Makes drafts, many in one block, which goes when all its drafts are gone.

    Attributes:
        size: Bytes of all drafts that were made.
    """

    __slots__ = ("_block", "size")

    def __init__(self) -> None:
        """Begin with none."""
        self._block = bytearray()
        self.size = 0

    def draft(self, facts: Facts) -> Draft:
        """Pack facts."""
        if len(self._block) >= _BLOCK:
            self._block = bytearray()
        start = len(self._block)
        self._block += facts.head()
        self.size += len(self._block) - start
        return Draft(self._block, start)


class Section:
    """A section of a signature; what it holds is taken out when it is asked for.

    Attributes:
        body: The bytes that it is in, a piece of a signature.
        start: Where in them it begins.
        end: Where in them the next one begins.
        count: How many files and symlinks it has.
        part: Which part of a large directory this is, from 0.
        files: How many of them are regular files.
        size: Bytes of these.
        kept_empty: Whether the directory is an entry when nothing in it is.
    """

    __slots__ = (
        "_names",
        "_stats",
        "body",
        "count",
        "end",
        "files",
        "kept_empty",
        "part",
        "size",
        "start",
    )

    def __init__(self, body: bytes, start: int) -> None:
        """Find the parts of a section that was packed.

        Raises:
            struct.error: There is no whole one.
        """
        self.body, self.start = body, start
        path: int
        names: int
        self.count: int
        self.part: int
        self.kept_empty: bool
        self.files: int
        self.size: int
        path, names, self.count, self.part, _, self.kept_empty, _ = _HEAD.unpack_from(
            body, start
        )
        # Lengths, so that the section can be moved.
        self._names = _HEAD.size + path
        self._stats = self._names + names
        totals = start + self._stats + self.count * ROW
        self.files, self.size = _TOTALS.unpack_from(body, totals)
        self.end = totals + _TOTALS.size + self.count * DIGEST

    def __len__(self) -> int:
        """Its bytes."""
        return self.end - self.start

    def path(self) -> bytes:
        """The directory, see `Facts`."""
        return self.body[self.start + _HEAD.size : self.start + self._names]

    def names(self) -> bytes:
        """Its names, see `Facts`."""
        return self.body[self.start + self._names : self.start + self._stats]

    def stats(self) -> bytes:
        """Its numbers, as the bytes of an array."""
        start = self.start + self._stats
        return self.body[start : start + self.count * ROW]

    def digests(self) -> bytes:
        """32 bytes for each name."""
        return self.body[self.end - self.count * DIGEST : self.end]

    def has(self, facts: Facts) -> bool:
        """Whether names and numbers are these; the rules play no part."""
        return self.names() == facts.names and self.stats() == facts.stats.tobytes()

    def packed(self) -> memoryview:
        """All of it, without a copy."""
        return memoryview(self.body)[self.start : self.end]

    def move(self, body: bytes, start: int) -> None:
        """Be the same section in other bytes, and let go of those before."""
        self.end += start - self.start
        self.body, self.start = body, start

    def known(self) -> dict[bytes, tuple[bytes, bytes]]:
        """Its files: by name, the packed row of numbers and the digest."""
        stats, digests = self.stats(), self.digests()
        return {
            name: (
                stats[index * ROW : (index + 1) * ROW],
                digests[index * DIGEST : (index + 1) * DIGEST],
            )
            for index, name in enumerate(self.names().split(b"\0"))
        }
