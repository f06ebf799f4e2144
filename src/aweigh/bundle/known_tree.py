"""What is remembered of a tree: the digest of its bundle, and its signature.

One row of the memory for nearly every tree::

    digest of the bundle (32 bytes), number of pieces in other rows (u32) = 0, the piece

A large tree's signature has several pieces (`aweigh.tree.pieces`), each in a row of its
own, of which only those are written that an edit changed; its first row names them::

    digest of the bundle (32 bytes), number of pieces in other rows (u32), their stamps

Two processes that write at once may leave pieces of both. The stamps tell: a piece that
is not the one named is as good as lost, and so are pieces that expired. What they held
is read again, and the digest of the bundle is not believed.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.memory import Record, Table, record_key
from aweigh.oci.digest import Digest
from aweigh.tree.pieces import STAMP, Piece

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.memory import Memory
    from aweigh.tree.rules import Rules
    from aweigh.tree.scan import Tree

__all__ = ["KnownTree", "recall_tree", "tree_key"]

_FRONT: Final = struct.Struct(">32sI")
_LOST: Final = Piece(b"")


def tree_key(root: Path, rules: Rules, *, follow: bool) -> str:
    """Return the key of a tree's row: where it really is and what is taken of it."""
    return record_key(
        "bundle tree 3",
        os.fsencode(os.path.realpath(root)),
        bytes([rules.builtin, rules.gitignore, follow]),
        len(rules.include).to_bytes(8, "big"),
        *map(os.fsencode, rules.include),
        *map(os.fsencode, rules.exclude),
    )


def _piece_key(key: str, number: int) -> str:
    return record_key("bundle tree piece", key, str(number))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownTree:
    """What a tree was when it was last scanned.

    Attributes:
        digest: The digest of its bundle, which need not be computed again when the
            tree is unchanged.
        pieces: The `Tree.signature` that `aweigh.tree.scan` wants back; an empty one
            stands for each that is lost.
        written_at: When each piece was written that has a row of its own, in seconds
            since the epoch.
    """

    digest: Digest
    pieces: tuple[Piece, ...]
    written_at: tuple[float, ...] = ()

    @classmethod
    def of(cls, tree: Tree, digest: Digest) -> KnownTree:
        """Note a tree and the digest of its bundle."""
        return cls(digest=digest, pieces=tree.signature)

    def records(
        self, key: str, before: KnownTree | None, *, now: float, ttl: float
    ) -> list[Record]:
        """Note this tree under its key.

        Args:
            key: What `tree_key` said.
            before: What the memory has; pieces that it holds for long enough still
                are not written again.
            now: Seconds since the epoch.
            ttl: For how many seconds it is remembered.
        """

        def record(key: str, value: bytes) -> Record:
            return Record(
                table=Table.TREES,
                key=key,
                value=value,
                created_at=now,
                verified_at=now,
                expires_at=now + ttl,
            )

        digest = bytes.fromhex(self.digest.hex)
        if len(self.pieces) == 1:
            (piece,) = self.pieces
            alone = (_FRONT.pack(digest, 0), memoryview(piece.body)[piece.start :])
            return [record(key, b"".join(alone))]
        stamps = [piece.stamp for piece in self.pieces]
        front = _FRONT.pack(digest, len(stamps)) + b"".join(stamps)
        kept = before.kept_since(now - ttl / 2) if before else {}
        return [
            record(key, front),
            *(
                record(_piece_key(key, number), _bare(piece))
                for number, piece in enumerate(self.pieces)
                if kept.get(number) != piece.stamp
            ),
        ]

    def kept_since(self, moment: float) -> dict[int, bytes]:
        """The stamps of pieces that were written since then, by their numbers."""
        return {
            number: piece.stamp
            for number, (piece, written_at) in enumerate(
                zip(self.pieces, self.written_at, strict=False)
            )
            if written_at >= moment
        }


async def recall_tree(memory: Memory, key: str) -> KnownTree | None:
    """Recall a tree with all its pieces; None when nothing is remembered.

    Args:
        memory: Gives back exactly what was put in, or nothing.
        key: What `tree_key` said.
    """
    row = await memory.recall(Table.TREES, key)
    if row is None or len(row.value) < _FRONT.size:
        return None
    raw, count = _FRONT.unpack_from(row.value)
    digest = Digest(raw.hex())
    if not count:
        return KnownTree(digest=digest, pieces=(Piece(row.value, _FRONT.size),))
    if len(row.value) != _FRONT.size + count * STAMP:
        return None
    pieces: list[Piece] = []
    written_at: list[float] = []
    for number in range(count):
        start = _FRONT.size + number * STAMP
        stamp = row.value[start : start + STAMP]
        found = await memory.recall(Table.TREES, _piece_key(key, number))
        piece = Piece(found.value) if found else _LOST
        pieces.append(piece if piece.stamp == stamp else _LOST)
        written_at.append(found.verified_at if found else 0.0)
    return KnownTree(digest=digest, pieces=tuple(pieces), written_at=tuple(written_at))


def _bare(piece: Piece) -> bytes:
    return piece.body[piece.start :] if piece.start else piece.body
