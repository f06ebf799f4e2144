"""Reads the tar headers that `aweigh.archive.tar` writes, and refuses all others."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.archive.header import BLOCK
from aweigh.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.archive.member import MemberKind

__all__ = ["Head", "Reader"]

_KINDS: Final[dict[bytes, MemberKind]] = {
    b"0": "file",
    b"\0": "file",
    b"2": "symlink",
    b"5": "directory",
}
_MODES: Final = 0o777
# A path of PATH_MAX bytes and a target as long fit many times.
_EXTENDED_LIMIT: Final = 64 << 10
_KEYS: Final = frozenset({b"path", b"linkpath", b"size", b"hdrcharset"})
_OCTAL: Final = re.compile(rb" *([0-7]{1,12})[ \0]*")
_DECIMAL: Final = re.compile(rb"[0-9]{1,18}")
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,8}) ([a-zA-Z.]+)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a member's header says, pax records included.

    Attributes:
        path: As `aweigh.archive.tar.Member.path`, without a final slash.
        kind: What it is.
        mode: Permission bits; never set-uid, set-gid or sticky.
        size: Bytes of content that follow.
        target: The text of a symlink.
    """

    path: str
    kind: MemberKind
    mode: int
    size: int
    target: str


class Reader:
    """A tar stream as headers and bytes; holds no more than one piece of input."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = iter(stream)
        self._piece = memoryview(b"")

    def head(self) -> Head | None:
        """Read the next member's header; None at the end of the archive.

        Raises:
            DamagedError: The header is malformed, cut short or of a forbidden kind.
        """
        block = self._block()
        records: dict[bytes, bytes] = {}
        if block is not None and block[156:157] == b"x":
            records = self._extended(block)
            block = self._block()
            if block is None:
                raise _damaged("ends after an extended header")
        if block is None:
            self._finish()
            return None
        return _head(block, records)

    def take(self, limit: int) -> bytes:
        """Read some bytes of content: at least one, at most ``limit``.

        Raises:
            DamagedError: The stream ends here.
        """
        while not self._piece:
            piece = next(self._stream, None)
            if piece is None:
                raise _damaged("ends in the middle")
            self._piece = memoryview(piece)
        taken = bytes(self._piece[:limit])
        self._piece = self._piece[limit:]
        return taken

    def skip(self, size: int) -> None:
        """Skip the padding after content of ``size`` bytes."""
        self._exactly(-size % BLOCK)

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            part = self.take(size)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _block(self) -> bytes | None:
        """A header block with a right checksum; None for a block of zeros."""
        block = self._exactly(BLOCK)
        if block.count(0) == BLOCK:
            return None
        summed = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if block[257:263] != b"ustar\0" or _octal(block[148:156]) != summed:
            raise _damaged("holds a block that is no ustar header")
        return block

    def _extended(self, block: bytes) -> dict[bytes, bytes]:
        size = _octal(block[124:136])
        if size > _EXTENDED_LIMIT:
            raise _damaged("holds an extended header that is too long")
        body = self._exactly(size)
        self.skip(size)
        records: dict[bytes, bytes] = {}
        start = 0
        while start < size:
            match = _RECORD.match(body, start)
            end = start + int(match[1]) if match else 0
            if (
                match is None
                or end > size
                or end <= match.end()
                or body[end - 1] != ord("\n")
                or match[2] not in _KEYS
                or match[2] in records
            ):
                raise _damaged("holds an extended header we do not write")
            records[match[2]] = body[match.end() : end - 1]
            start = end
        return records

    def _finish(self) -> None:
        """Nothing but zeros may follow the first block of zeros, and not much."""
        self._exactly(BLOCK)
        left = 20 * BLOCK
        for piece in (bytes(self._piece), *self._stream):
            left -= len(piece)
            if left < 0 or piece.count(0) != len(piece):
                raise _damaged("goes on after its end")


def _head(block: bytes, records: dict[bytes, bytes]) -> Head:
    kind = _KINDS.get(block[156:157])
    mode = _octal(block[100:108])
    size = _octal(block[124:136])
    name, prefix = _text(block[:100]), _text(block[345:500])
    path = records.get(b"path", prefix + b"/" + name if prefix else name)
    target = records.get(b"linkpath", _text(block[157:257]))
    if b"size" in records:
        if not _DECIMAL.fullmatch(records[b"size"]):
            raise _damaged("holds a size that is no number")
        size = int(records[b"size"])
    shown = os.fsdecode(path)
    if kind is None:
        raise _damaged(f"{shown!r} is a hard link, a device or another special member")
    if mode & ~_MODES:
        raise _damaged(f"{shown!r} has a set-uid, set-gid or sticky bit")
    if kind != "file" and size:
        raise _damaged(f"{shown!r} has content although it is no file")
    if kind == "directory" and shown.endswith("/"):
        shown = shown[:-1]
    if kind != "symlink" and target:
        raise _damaged(f"{shown!r} has a link target although it is no link")
    return Head(path=shown, kind=kind, mode=mode, size=size, target=os.fsdecode(target))


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _octal(field: bytes) -> int:
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise _damaged("holds a number that is not octal")
    return int(match[1], 8)


def _damaged(what: str) -> DamagedError:
    return DamagedError(
        f"the archive was refused: {what}" if what[0] == "'" else f"the archive {what}",
        hint="it was damaged or made to harm; upload it anew from a tree you trust",
    )
