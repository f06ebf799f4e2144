"""Digests of files that may change while they are read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import Final, NamedTuple, TypeAlias

from aweigh.errors import ChangedError

__all__ = ["Identity", "Numbers", "digest_file", "identity", "numbers"]

Numbers: TypeAlias = tuple[int, int, int, int, int]
"""The fields of an `Identity`."""

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
# Inode numbers are unsigned; what remembers them counts with a sign.
_SIGNED: Final = (1 << 63) - 1
_PIECE: Final = 1 << 20
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_REPLACED: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EAGAIN, errno.EISDIR})


class Identity(NamedTuple):
    """What tells apart a file from itself after a change; times in nanoseconds."""

    mode: int
    size: int
    mtime: int
    ctime: int
    inode: int


def numbers(found: os.stat_result) -> Numbers:
    """Take the fields of an `Identity` out of a stat result."""
    return (
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino & _SIGNED,
    )


def identity(found: os.stat_result) -> Identity:
    """Take the identity out of a stat result."""
    return Identity(*numbers(found))


def digest_file(
    path: str, seen: Identity, *, follow: bool, shown: str
) -> tuple[bytes, Identity] | None:
    """Digest a regular file, and prove that it stood still meanwhile.

    A file that moved since it was listed or while it was read is read once more.

    Args:
        path: What to read.
        seen: What the walk saw.
        follow: Whether the path may be a symlink.
        shown: The path for an error.

    Returns:
        The SHA-256 and the identity that belongs to it; None when it is gone.

    Raises:
        ChangedError: It kept changing, or is no regular file any more.
        OSError: It cannot be read.
    """
    for _ in range(2):
        try:
            read = _read(path, seen.size, follow=follow)
        except OSError as error:
            if error.errno in _GONE:
                return None
            if error.errno in _REPLACED:
                break
            raise
        content, after = read
        if not stat.S_ISREG(after.mode):
            break
        if after == seen:
            return content, after
        seen = after
    raise ChangedError(
        f"{shown!r} changed while it was read",
        hint="wait until nothing writes to it, or leave it out with .aweighignore",
        paths=[shown],
    )


def _read(path: str, size: int, *, follow: bool) -> tuple[bytes, Identity]:
    descriptor = os.open(path, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW)
    try:
        digest = hashlib.sha256()
        # One byte more than the size: a file that grew shows, and something endless
        # in its place ends. The stat afterwards is compared with the walk's, so
        # whatever happened in between shows there.
        left = size + 1
        while left and (piece := os.read(descriptor, min(left, _PIECE))):
            digest.update(piece)
            left -= len(piece)
        return digest.digest(), identity(os.fstat(descriptor))
    finally:
        os.close(descriptor)
