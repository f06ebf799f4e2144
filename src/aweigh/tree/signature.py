"""What is remembered of a tree: names, stat data and digests, packed per directory.

A signature is a header, a section for each directory, and a SHA-256 over all of it::

    magic, device, follow, count of sections
    section: head, path; names joined by NUL;
             five 64-bit numbers for each name (`aweigh.tree.digests.Identity`);
             number and bytes of the regular files;
             32 bytes for each name: SHA-256 of a file's content or a symlink's text
    head:    lengths of path and names, number of names, device of the directory,
             whether it is an entry when it is empty, digest of the rules

An mtime of `UNTRUSTED` marks a file that must be read again. The digest of the rules
is that of the patterns by which every file of the directory was taken and none is a
symlink, else zeros: where all else is equal too, nothing has to be decided again.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DIGEST",
    "FIELDS",
    "NO_RULES",
    "ROW",
    "UNTRUSTED",
    "Facts",
    "Remembered",
    "Section",
    "Signature",
]

FIELDS: Final = 5
DIGEST: Final = 32
UNTRUSTED: Final = -(1 << 63)
NO_RULES: Final = bytes(16)
ROW: Final = FIELDS * 8
_MAGIC: Final = f"aweigh-tree-2-{sys.byteorder}\n".encode()
_HEADER: Final = struct.Struct("<QBQ")
_HEAD: Final = struct.Struct("<QQQQ?16s")
_TOTALS: Final = struct.Struct("<QQ")
_MTIME: Final = 2
_TIMES: Final = (2, 3)


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
    """

    path: bytes
    names: bytes
    stats: array[int]
    device: int
    kept_empty: bool
    rules: bytes

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
            self.device,
            self.kept_empty,
            self.rules,
        )
        return b"".join((head, self.path, self.names, stats.tobytes()))


class Section:
    """One directory in a signature; what it holds is taken out when it is asked for.

    Attributes:
        count: How many files and symlinks it has.
        files: How many of them are regular files.
        size: Bytes of these.
        kept_empty: Whether the directory is an entry when nothing in it is.
        end: Where the next section begins.
    """

    __slots__ = (
        "_body",
        "_digests",
        "_names",
        "_start",
        "_stats",
        "count",
        "end",
        "files",
        "kept_empty",
        "size",
    )

    def __init__(self, body: bytes, start: int) -> None:
        """Find the parts of a section that was packed."""
        path: int
        names: int
        self.count: int
        self.kept_empty: bool
        self.files: int
        self.size: int
        path, names, self.count, _, self.kept_empty, _ = _HEAD.unpack_from(body, start)
        self._body, self._start = body, start
        self._names = start + _HEAD.size + path
        self._stats = self._names + names
        totals = self._stats + self.count * ROW
        self.files, self.size = _TOTALS.unpack_from(body, totals)
        self._digests = totals + _TOTALS.size
        self.end = self._digests + self.count * DIGEST

    def path(self) -> bytes:
        """The directory, see `Facts`."""
        return self._body[self._start + _HEAD.size : self._names]

    def names(self) -> bytes:
        """Its names, see `Facts`."""
        return self._body[self._names : self._stats]

    def stats(self) -> bytes:
        """Its numbers, as the bytes of an array."""
        return self._body[self._stats : self._digests - _TOTALS.size]

    def digests(self) -> bytes:
        """32 bytes for each name."""
        return self._body[self._digests : self.end]

    def has(self, facts: Facts) -> bool:
        """Whether names and numbers are these; the rules play no part."""
        return self.names() == facts.names and self.stats() == facts.stats.tobytes()

    def packed(self) -> memoryview:
        """All of it, without a copy."""
        return memoryview(self._body)[self._start : self.end]

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


class Remembered:
    """A signature that was unpacked; damaged or foreign ones remember nothing."""

    def __init__(
        self, packed: bytes | None, *, device: int, follow: bool, skip: int = 0
    ) -> None:
        """Unpack a signature of the same file system and the same way of walking.

        Args:
            packed: Holds the signature; it is not copied.
            device: The ``st_dev`` of the root.
            follow: Whether symlinks stand for what they point to.
            skip: Bytes in front of the signature.
        """
        self._starts: dict[bytes, int] = {}
        self._body = packed or b""
        if packed is None or not packed.startswith(_MAGIC, skip):
            return
        checked = memoryview(packed)[skip:]
        if hashlib.sha256(checked[:-DIGEST]).digest() != checked[-DIGEST:]:
            return
        # From here on the bytes are the ones that Signature.packed() wrote.
        start = skip + len(_MAGIC)
        count: int
        was_device, was_follow, count = _HEADER.unpack_from(packed, start)
        start += _HEADER.size
        if (was_device, bool(was_follow)) == (device, follow):
            for _ in range(count):
                section = Section(packed, start)
                self._starts[section.path()] = start
                start = section.end

    def __len__(self) -> int:
        """How many directories are remembered."""
        return len(self._starts)

    def of(self, path: bytes) -> Section | None:
        """What is remembered of a directory, by its path."""
        start = self._starts.get(path)
        return None if start is None else Section(self._body, start)

    def same(self, facts: Facts) -> Section | None:
        """What is remembered of a directory, if all these facts are as they were."""
        start = self._starts.get(facts.path)
        if start is None or not self._body.startswith(facts.head(), start):
            return None
        return Section(self._body, start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What is to be remembered of a tree.

    Attributes:
        sections: Of all directories, in the walk's order.
        device: The ``st_dev`` of the root.
        follow: Whether symlinks stand for what they point to.
    """

    sections: Sequence[Section]
    device: int
    follow: bool

    def packed(self, prefix: bytes = b"") -> bytes:
        """Pack everything in one go, behind other bytes if wanted."""
        header = _MAGIC + _HEADER.pack(self.device, self.follow, len(self.sections))
        parts: list[bytes | memoryview] = [header]
        parts.extend(section.packed() for section in self.sections)
        checksum = hashlib.sha256()
        for part in parts:
            checksum.update(part)
        return b"".join((prefix, *parts, checksum.digest()))
