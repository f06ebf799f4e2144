"""The listing of one pack: its entries, written in exactly one way.

::

    listing   = "aweigh bundle listing 2" LF, number of entries (u64), entry*
    entry     = kind, path (u32 length, bytes), file | symlink | directory
    file      = "f" or "x" (executable); size (u64), SHA-256 of the content (32 bytes)
    symlink   = "l"; target (u32 length, bytes)
    directory = "d"

Numbers are big-endian. Entries are sorted by path, compared as bytes; paths are what
`os.fsencode` gives, relative to the bundle, with ``/`` between plain names. Owner,
times and umask are not part of it.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from aweigh.archive.member import Names
from aweigh.errors import DamagedError, TreeError
from aweigh.oci.digest import Digest
from aweigh.tree.entry import Entry, Kind
from aweigh.tree.rows import DIRECTORY, EXECUTABLE, PLAIN, SYMLINK, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Cursor", "SortedNames", "decode", "encode", "encode_rows", "rows_of"]

MAGIC: Final = b"aweigh bundle listing 2\n"

_COUNT: Final = struct.Struct(">Q")
_LENGTH: Final = struct.Struct(">I")
_SIZE: Final = struct.Struct(">Q")
_FILE: Final = struct.Struct(">Q32s")
_AT_ONCE: Final = 1000
# What Linux takes in one call, as a path or as the target of a symlink.
_MAX_TEXT: Final = 4096
# So deep that nobody is there, and not so deep that removing it is an art.
_MAX_DEPTH: Final = 256


def rows_of(entries: Iterable[Entry]) -> Iterator[Rows]:
    """Write entries of any origin as columns, a thousand at a time.

    Raises:
        TreeError: An entry is out of order, or one that `decode` would refuse.
    """
    names = SortedNames()
    each = iter(entries)
    while some := list(islice(each, _AT_ONCE)):
        paths = [os.fsencode(entry.path) for entry in some]
        for entry, path in zip(some, paths, strict=True):
            wrong = names.add(path, entry.path, entry.kind) or _unfit(entry)
            if wrong:
                raise TreeError(
                    f"{entry.path!r} {wrong}: it cannot be in a bundle",
                    hint="rename it, or leave it out with an exclude pattern",
                    paths=[entry.path],
                )
        yield Rows(
            paths,
            bytes(map(_kind, some)),
            [entry.size for entry in some],
            [_content(entry) for entry in some],
        )


def encode(entries: Iterable[Entry]) -> bytes:
    """Write the one canonical encoding of sorted entries.

    Raises:
        TreeError: An entry is out of order, or one that `decode` would refuse.
    """
    return encode_rows(list(rows_of(entries)))


def encode_rows(pieces: Sequence[Rows]) -> bytes:
    """Write the same of entries that come from a tree; a million take a second.

    Raises:
        TreeError: A path is longer or deeper than `decode` takes.
    """
    parts = [MAGIC, _COUNT.pack(sum(map(len, pieces)))]
    for rows in pieces:
        _refuse_far(rows)
        heads = map(_head, rows.kinds, map(len, rows.paths))
        if rows.odd:
            tails = map(_tail, rows.kinds, rows.sizes, rows.contents)
            parts += chain.from_iterable(zip(heads, rows.paths, tails, strict=True))
        else:
            sizes = map(_SIZE.pack, rows.sizes)
            parts += chain.from_iterable(
                zip(heads, rows.paths, sizes, rows.contents, strict=True)
            )
    return b"".join(parts)


def _refuse_far(rows: Rows) -> None:
    """A walk has plain names in order, however long and deep."""
    path = max(rows.paths, key=len, default=b"")
    if len(path) > 2 * _MAX_DEPTH and not _too_far(path):
        # The deepest need not be the longest, but must be as long as this.
        path = max(rows.paths, key=lambda each: each.count(b"/"))
    wrong = _too_far(path)
    if wrong:
        shown = os.fsdecode(path)
        raise TreeError(
            f"{shown!r} {wrong}: it cannot be in a bundle",
            hint="move it up, or leave it out with an exclude pattern",
            paths=[shown],
        )


def _too_far(path: bytes) -> str:
    if len(path) >= _MAX_TEXT:
        return "is too long"
    return "is too deep" if path.count(b"/") >= _MAX_DEPTH else ""


@lru_cache(1 << 13)
def _head(kind: int, length: int) -> bytes:
    return bytes([kind]) + _LENGTH.pack(length)


def _tail(kind: int, size: int, content: bytes) -> bytes:
    if kind == SYMLINK:
        return _LENGTH.pack(len(content)) + content
    return b"" if kind == DIRECTORY else _SIZE.pack(size) + content


class SortedNames:
    """Paths in order: each one safe and after the one before."""

    def __init__(self) -> None:
        self._names = Names()
        self._last = b""

    def add(self, path: bytes, text: str, kind: Kind) -> str:
        """Note a path and say why it cannot be one; empty when it can."""
        if path <= self._last:
            return "is out of order" if path else "is empty"
        self._last = path
        if len(path) >= _MAX_TEXT:
            return "is too long"
        if path.count(b"/") >= _MAX_DEPTH:
            return "is too deep"
        return self._names.add(text, kind.value)


def _unfit(entry: Entry) -> str:
    match entry.kind:
        case Kind.FILE:
            return "" if entry.digest is not None else "has no digest"
        case Kind.SYMLINK:
            target = os.fsencode(entry.target)
            fits = 0 < len(target) < _MAX_TEXT and b"\0" not in target
            plain = not entry.executable and not entry.size and entry.digest is None
            return "" if fits and plain else "is an odd symlink"
        case Kind.DIRECTORY:
            odd = entry.executable or entry.size or entry.digest or entry.target
            return "is an odd directory" if odd else ""


def _kind(entry: Entry) -> int:
    match entry.kind:
        case Kind.FILE:
            return EXECUTABLE if entry.executable else PLAIN
        case Kind.SYMLINK:
            return SYMLINK
        case Kind.DIRECTORY:
            return DIRECTORY


def _content(entry: Entry) -> bytes:
    if entry.digest is not None:
        return bytes.fromhex(entry.digest.hex)
    return os.fsencode(entry.target)


def decode(encoded: bytes) -> tuple[Entry, ...]:
    """Read a canonical listing; anything that `encode` would not write is refused.

    Raises:
        DamagedError: It is cut short, not canonical, or holds an unsafe path.
    """
    cursor = Cursor(encoded)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise _damaged("it does not begin like one of this version")
    (count,) = _COUNT.unpack(cursor.take(_COUNT.size))
    names = SortedNames()
    entries: list[Entry] = []
    while len(entries) < count:
        entry, path = _decode_entry(cursor)
        wrong = names.add(path, entry.path, entry.kind) or _unfit(entry)
        if wrong:
            raise _damaged(f"{entry.path!r} {wrong}")
        entries.append(entry)
    if not cursor.done:
        raise _damaged("bytes follow its last entry")
    return tuple(entries)


class Cursor:
    """A place in some bytes that only moves forward, and never past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise _damaged("it is cut short")
        self._at += size
        return piece

    def text(self) -> bytes:
        """Return the next length-prefixed bytes."""
        (length,) = _LENGTH.unpack(self.take(_LENGTH.size))
        return self.take(length)


def _decode_entry(cursor: Cursor) -> tuple[Entry, bytes]:
    kind = cursor.take(1)
    path = cursor.text()
    name = os.fsdecode(path)
    match kind:
        case b"f" | b"x":
            size, content = _FILE.unpack(cursor.take(_FILE.size))
            entry = Entry(
                path=name,
                kind=Kind.FILE,
                executable=kind == b"x",
                size=size,
                digest=Digest(content.hex()),
            )
        case b"l":
            target = os.fsdecode(cursor.text())
            entry = Entry(
                path=name,
                kind=Kind.SYMLINK,
                executable=False,
                size=0,
                digest=None,
                target=target,
            )
        case b"d":
            entry = Entry(
                path=name, kind=Kind.DIRECTORY, executable=False, size=0, digest=None
            )
        case _:
            raise _damaged(f"an entry of unknown kind {kind!r}")
    return entry, path


def _damaged(what: str) -> DamagedError:
    return DamagedError(
        f"not a canonical listing of a pack: {what}",
        hint="fetch it again; if it stays so, delete it from the store and upload anew",
    )
