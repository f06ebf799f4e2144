"""Contents that a scan has read, kept for whoever packs them right after."""

from __future__ import annotations

import os
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from aweigh.tree.digests import Numbers

__all__ = ["Held", "Kept", "read_whole"]

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
# `numbers` in C; an inode that needs the sign makes a difference, and a difference
# means that somebody looks more closely.
_NUMBERS: Final = attrgetter(
    "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"
)

# What a file takes besides its content: path, numbers and their place in a table.
_EACH: Final = 600

Held: TypeAlias = "tuple[bytes, Numbers]"
"""A content, and what was seen of its file around the reading."""


def read_whole(path: bytes, seen: Numbers) -> bytes | None:
    """Read a small file; None if it is not exactly what was seen before.

    Raises:
        OSError: It cannot be read.
    """
    size = seen[1]
    descriptor = os.open(path, _FLAGS)
    try:
        content = os.read(descriptor, size + 1)
        after = _NUMBERS(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    return content if after == seen and len(content) == size else None


class Kept:
    """The contents of small files, as long as there is room.

    They were digested when they were read, so whoever takes one has what the tree
    says, without opening the file again.
    """

    __slots__ = ("_contents", "_room", "_root")

    def __init__(self, root: str, room: int) -> None:
        """Begin with nothing.

        Args:
            root: The directory that paths are relative to.
            room: Bytes that may be kept.
        """
        self._root = os.fsencode(root)
        self._room = room
        self._contents: dict[bytes, Held] = {}

    def __contains__(self, path: bytes) -> bool:
        return path in self._contents

    def keep(self, path: bytes, content: bytes, seen: Numbers) -> None:
        """Keep the content of a file that was ``seen`` around the reading."""
        cost = len(content) + _EACH
        if cost <= self._room:
            self._room -= cost
            self._contents[path] = (content, seen)

    def take(self, path: bytes) -> bytes | None:
        """Give away what a file held, if it is kept and the file did not move since.

        It is then kept no longer. One look tells whether somebody writes to the tree
        that is being packed: what is kept would still be what was digested, but other
        files might be newer.
        """
        found = self.release(path)
        if found is None:
            return None
        content, seen = found
        return content if self.stands(path, seen) else None

    def release(self, path: bytes) -> Held | None:
        """Give away what a file held, without a look at it, and keep it no longer."""
        return self._contents.pop(path, None)

    def stands(self, path: bytes, seen: Numbers) -> bool:
        """Look whether a file is as it was seen."""
        try:
            return bool(_NUMBERS(os.lstat(self._root + b"/" + path)) == seen)
        except OSError:
            return False
