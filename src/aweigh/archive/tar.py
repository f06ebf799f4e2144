"""Deterministic tar streams: the same members give the same bytes everywhere.

Whoever packs says what each file must contain, and a file that changed is noticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.archive.content import CHUNK, content, gathered
from aweigh.archive.header import BLOCK, header
from aweigh.archive.member import checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aweigh.archive.member import Member

__all__ = ["CHUNK", "known_tar_chunks", "tar_chunks"]


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
    return known_tar_chunks(checked(members))


def known_tar_chunks(members: Iterable[Member]) -> Iterator[bytes]:
    """Do the same with members whose paths are known to be safe and distinct.

    Memory is constant whatever their number: `tar_chunks` keeps all paths.
    """
    return gathered(_pieces(members))


def _pieces(members: Iterable[Member]) -> Iterator[bytes]:
    for member in members:
        yield header(member)
        if member.kind == "file":
            yield from content(member)
            if member.size % BLOCK:
                yield bytes(-member.size % BLOCK)
    yield bytes(2 * BLOCK)
