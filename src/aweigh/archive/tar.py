"""Deterministic tar streams: the same members give the same bytes everywhere.

Whoever packs says what each file must contain, and a file that changed is noticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.archive.content import CHUNK, content
from aweigh.archive.header import BLOCK, header
from aweigh.archive.member import Names
from aweigh.errors import TreeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aweigh.archive.member import Member

__all__ = ["CHUNK", "tar_chunks"]


def tar_chunks(members: Iterable[Member]) -> Iterator[bytes]:
    """Write members as a tar stream, in the order given.

    Each file is read once; what was read is compared with `Member.size` and
    `Member.digest`, and without a digest with the file's times before and after.
    Memory stays constant: pieces of about 1 MiB, small files share one. Blocks on
    the disk: iterate in a worker thread (`aweigh.archive.stream.in_thread`).

    Raises:
        ChangedError: A file is not what its member says, or moved while it was read.
        TreeError: A path is unsafe or there twice, or a file cannot be read.
    """
    parts: list[bytes] = []
    held = 0
    for piece in _pieces(members):
        parts.append(piece)
        held += len(piece)
        if held >= CHUNK:
            yield b"".join(parts)
            parts, held = [], 0
    if parts:
        yield b"".join(parts)


def _pieces(members: Iterable[Member]) -> Iterator[bytes]:
    names = Names()
    for member in members:
        wrong = names.add(member.path, member.kind)
        if wrong:
            raise TreeError(
                f"{member.path!r} {wrong}: it cannot go into an archive",
                hint="give each member its own relative path without '.' and '..'",
                paths=[member.path],
            )
        yield header(member)
        if member.kind == "file":
            yield from content(member)
            if member.size % BLOCK:
                yield bytes(-member.size % BLOCK)
    yield bytes(2 * BLOCK)
