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
from typing import TYPE_CHECKING, Final

from aweigh.archive.member import Names
from aweigh.errors import DamagedError, TreeError
from aweigh.oci.digest import Digest
from aweigh.tree.entry import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Cursor", "SortedNames", "decode", "encode"]

MAGIC: Final = b"aweigh bundle listing 2\n"

_COUNT: Final = struct.Struct(">Q")
_LENGTH: Final = struct.Struct(">I")
_FILE: Final = struct.Struct(">Q32s")
_MAX_TEXT: Final = 1 << 16


def encode(entries: Sequence[Entry]) -> bytes:
    """Write the one canonical encoding of sorted entries; a million take a second.

    Raises:
        TreeError: An entry is one that `decode` would refuse for itself.
    """
    encoded = bytearray(MAGIC + _COUNT.pack(len(entries)))
    for entry in entries:
        wrong = _unfit(entry)
        if wrong:
            raise TreeError(
                f"{entry.path!r} {wrong}: it cannot be in a bundle",
                hint="rename it, or leave it out with an exclude pattern",
                paths=[entry.path],
            )
        encoded += _encode_entry(entry)
    return bytes(encoded)


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


def _encode_entry(entry: Entry) -> bytes:
    path = os.fsencode(entry.path)
    head = _LENGTH.pack(len(path)) + path
    match entry.kind:
        case Kind.FILE:
            kind = b"x" if entry.executable else b"f"
            content = bytes.fromhex(entry.digest.hex) if entry.digest else b""
            return kind + head + _FILE.pack(entry.size, content)
        case Kind.SYMLINK:
            target = os.fsencode(entry.target)
            return b"l" + head + _LENGTH.pack(len(target)) + target
        case Kind.DIRECTORY:
            return b"d" + head


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
