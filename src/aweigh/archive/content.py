"""Reads what goes into an archive, and notices what is not as announced."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

from aweigh.errors import ChangedError, TreeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from aweigh.archive.member import Member

__all__ = ["CHUNK", "content", "gathered", "proven"]

CHUNK: Final = 1 << 20

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def proven(path: bytes, size: int, digest: bytes) -> bytes | None:
    """Read a small file; None when it is not exactly what it was said to be.

    A right digest proves more than any look at the file could; what went wrong
    otherwise is for `content` to find out.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError:
        return None
    try:
        read = os.read(descriptor, size + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    found = hashlib.sha256(read).digest()
    return read if len(read) == size and found == digest else None


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces, so that each one has 1 MiB at least, but for the last."""
    parts: list[bytes] = []
    held = 0
    for piece in pieces:
        parts.append(piece)
        held += len(piece)
        if held >= CHUNK:
            yield b"".join(parts)
            parts, held = [], 0
    if parts:
        yield b"".join(parts)


def content(member: Member) -> Iterator[bytes]:
    """Read one member's content, in pieces of at most 1 MiB.

    Raises:
        ChangedError: A file is not what its member says, or moved while it was read.
        TreeError: It cannot be read.
    """
    source = member.source
    if isinstance(source, bytes):
        if len(source) != member.size or not _has(member, hashlib.sha256(source)):
            raise _changed(member, "is not what was announced")
        yield source
    elif source is None:
        raise TreeError(
            f"{member.path!r} has no content to archive",
            hint="give the member bytes or the path of a file as its source",
            paths=[member.path],
        )
    else:
        yield from _read(member, source)


def _has(member: Member, digest: hashlib._Hash) -> bool:
    return member.digest is None or member.digest.hex == digest.hexdigest()


def _read(member: Member, source: Path) -> Iterator[bytes]:
    try:
        descriptor = os.open(source, _OPEN_FLAGS)
    except PermissionError as error:
        raise _unreadable(member, error) from error
    except OSError as error:
        # Gone, a symlink, a socket: none of which it was when it was listed.
        raise _changed(member, "is no longer the file it was") from error
    try:
        yield from _read_open(member, descriptor)
    except OSError as error:
        raise _unreadable(member, error) from error
    finally:
        os.close(descriptor)


def _read_open(member: Member, descriptor: int) -> Iterator[bytes]:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise _changed(member, "is no longer a regular file")
    if before.st_size != member.size:
        raise _changed(member, f"has {before.st_size} bytes instead of {member.size}")
    digest = hashlib.sha256()
    piece = b""
    left = member.size
    while left:
        piece = os.read(descriptor, min(left, CHUNK))
        if not piece:
            raise _changed(member, "became shorter while it was read")
        left -= len(piece)
        if member.digest is not None:
            digest.update(piece)
        if left:
            yield piece
    # The last piece is only handed out once the whole file has proved right. The
    # digest is the better proof: times also move for a chmod or a new hard link.
    if member.digest is None and _times(os.fstat(descriptor)) != _times(before):
        raise _changed(member, "changed while it was read")
    if not _has(member, digest):
        raise _changed(member, "has other content than when it was listed")
    yield piece


def _times(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _changed(member: Member, what: str) -> ChangedError:
    return ChangedError(
        f"{member.path!r} {what}",
        hint="wait until nothing writes to it, or leave it out with .aweighignore",
        paths=[member.path],
    )


def _unreadable(member: Member, error: OSError) -> TreeError:
    return TreeError(
        f"cannot read {member.path!r}: {error.strerror}",
        hint="make it readable, or leave it out with .aweighignore",
        paths=[member.path],
    )
