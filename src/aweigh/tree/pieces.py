"""The signature of a tree: sections of its directories, in pieces of some megabytes.

A piece is a header and sections (`aweigh.tree.signature`) that follow each other in the
walk's order::

    header: magic, stamp, length of the piece, device, follow, number of sections

The stamp is the SHA-256 of all that follows it, cut to 16 bytes: it names the piece, so
that whoever keeps pieces can tell whether they belong together. Reading does not
compute it again: who keeps the pieces must give back what it was given, or nothing.

A large tree has many pieces, and of those only what an edit touched is packed anew: a
piece that holds what it held is the very same object.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aweigh.tree.signature import Facts, Section, place

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PIECE", "STAMP", "Piece", "Remembered", "Sealer"]

# Bytes after which a piece ends: what one step of hashing, writing or reading takes.
PIECE: Final = 4 << 20
STAMP: Final = 16
_MAGIC: Final = f"aweigh-tree-3-{sys.byteorder}\n".encode()
_HEADER: Final = struct.Struct("<QQ?I")
_AFTER_STAMP: Final = len(_MAGIC) + STAMP
_FIRST: Final = _AFTER_STAMP + _HEADER.size


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes that hold a piece, up to their end.

    Attributes:
        body: The bytes.
        start: Where in them the piece begins; what is in front is the caller's own.
    """

    body: bytes = field(repr=False)
    start: int = 0

    @property
    def stamp(self) -> bytes:
        """What names it."""
        start = self.start + len(_MAGIC)
        return self.body[start : start + STAMP]

    @property
    def first(self) -> int:
        """Where its first section begins."""
        return self.start + _FIRST

    def count(self, *, device: int, follow: bool) -> int:
        """How many sections it has for a way of walking; 0 when it is no piece of it.

        Args:
            device: The ``st_dev`` of the root.
            follow: Whether symlinks stand for what they point to.
        """
        body, start = self.body, self.start
        if not body.startswith(_MAGIC, start) or len(body) < start + _FIRST:
            return 0
        header = _HEADER.unpack_from(body, start + _AFTER_STAMP)
        length, was_device, was_follow, count = header
        if (length, was_device, was_follow) != (len(body) - start, device, follow):
            return 0
        return int(count)

    @classmethod
    def of(cls, sections: Sequence[Section], *, device: int, follow: bool) -> Piece:
        """Pack sections, which are in the piece from then on."""
        length = _FIRST + sum(map(len, sections))
        header = _HEADER.pack(length, device, follow, len(sections))
        content = b"".join((header, *(section.packed() for section in sections)))
        stamp = hashlib.sha256(content).digest()[:STAMP]
        body = b"".join((_MAGIC, stamp, content))
        start = _FIRST
        for section in sections:
            section.move(body, start)
            start = section.end
        return cls(body)


class Remembered:
    """Pieces that were taken apart; damaged or foreign ones remember nothing.

    Attributes:
        pieces: Those that remember something, by the identity of their bytes.
        whole: Whether all do.
    """

    def __init__(
        self, pieces: Sequence[Piece] = (), *, device: int, follow: bool
    ) -> None:
        """Look at pieces of the same file system and the same way of walking.

        Args:
            pieces: Of one signature; not copied.
            device: The ``st_dev`` of the root.
            follow: Whether symlinks stand for what they point to.
        """
        self.pieces: dict[int, tuple[Piece, int]] = {}
        self.whole = True
        self._at: dict[bytes, tuple[bytes, int]] = {}
        for piece in pieces:
            count = piece.count(device=device, follow=follow)
            sections = _take_apart(piece, count)
            if sections:
                self.pieces[id(piece.body)] = (piece, count)
                self._at.update(sections)
            else:
                self.whole = False

    def __len__(self) -> int:
        """How many sections are remembered."""
        return len(self._at)

    def has(self, path: bytes, part: int = 0) -> bool:
        """Whether anything is remembered of a directory, or of a part of it."""
        return place(path, part) in self._at

    def of(self, path: bytes, part: int = 0) -> Section | None:
        """What is remembered of a directory, or of a part of it."""
        at = self._at.get(place(path, part))
        return None if at is None else Section(*at)

    def same(self, facts: Facts) -> Section | None:
        """What is remembered of a directory, if all these facts are as they were."""
        at = self._at.get(place(facts.path, facts.part))
        if at is None or not at[0].startswith(facts.head(), at[1]):
            return None
        return Section(*at)


def _take_apart(piece: Piece, count: int) -> dict[bytes, tuple[bytes, int]]:
    """Find all sections of a piece, or nothing when it is damaged."""
    body, start = piece.body, piece.first
    found: dict[bytes, tuple[bytes, int]] = {}
    try:
        for _ in range(count):
            section = Section(body, start)
            found[place(section.path(), section.part)] = (body, start)
            start = section.end
    except struct.error:
        return {}
    return found if start == len(body) else {}


class Sealer:
    """Packs sections as they come, and leaves pieces that hold what they held."""

    def __init__(
        self, memory: Remembered, *, device: int, follow: bool, limit: int = PIECE
    ) -> None:
        """Begin with nothing.

        Args:
            memory: What sections may come from, as they are.
            device: The ``st_dev`` of the root.
            follow: Whether symlinks stand for what they point to.
            limit: Bytes of a piece; only a section that is larger is more.
        """
        self._memory = memory
        self._device = device
        self._follow = follow
        self._limit = limit
        self._sections: list[Section] = []
        self._size = 0
        self._pieces: list[Piece] = []

    def add(self, section: Section) -> None:
        """Take the next section of the walk.

        An edit that adds to a piece must not shift all that follow, so a piece ends
        where an old one began, unless it would be small.
        """
        more = len(section)
        if self._size and (
            self._size + more > self._limit
            or (self._size >= self._limit // 2 and self._begins_one(section))
        ):
            self._seal()
        self._sections.append(section)
        self._size += more

    def pieces(self) -> tuple[Piece, ...]:
        """All that came, packed."""
        if self._sections:
            self._seal()
        return tuple(self._pieces)

    def _begins_one(self, section: Section) -> bool:
        old = self._memory.pieces.get(id(section.body))
        return old is not None and section.start == old[0].first

    def _seal(self) -> None:
        self._pieces.append(
            self._as_it_was()
            or Piece.of(self._sections, device=self._device, follow=self._follow)
        )
        self._sections, self._size = [], 0

    def _as_it_was(self) -> Piece | None:
        sections = self._sections
        body = sections[0].body
        old, count = self._memory.pieces.get(id(body), (None, 0))
        if (
            old is None
            or count != len(sections)
            or sections[0].start != old.first
            or any(section.body is not body for section in sections)
        ):
            return None
        return old
