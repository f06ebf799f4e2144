"""The memory of a scan: what each directory looked like, and its files' digests.

An opaque value for the local database. It is compared as bytes, one directory at a
time, so an unchanged directory costs no look at its files. Layout: a header, one
section for each directory, and a SHA-256 over all of it::

    magic, device, follow, count of sections
    section: lengths of path, names and number of names; path; names joined by NUL;
             five 64-bit numbers for each name (`aweigh.tree.digests.Identity`);
             32 bytes for each name: SHA-256 of a file's content or a symlink's text

An mtime of `UNTRUSTED` marks a file that must be read again.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.tree.walk import Folder

__all__ = [
    "DIGEST",
    "FIELDS",
    "UNTRUSTED",
    "Remembered",
    "Section",
    "pack",
    "pack_section",
]

FIELDS: Final = 5
DIGEST: Final = 32
UNTRUSTED: Final = -(1 << 63)
_MAGIC: Final = f"aweigh-tree-1-{sys.byteorder}\n".encode()
_HEADER: Final = struct.Struct("<QBQ")
_LENGTHS: Final = struct.Struct("<QQQ")
_ROW: Final = FIELDS * 8
_MTIME: Final = 2
_TIMES: Final = (2, 3)


@dataclass(frozen=True, slots=True)
class Section:
    """What is remembered of one directory, as it was packed."""

    packed: bytes
    names: bytes
    stats: bytes
    digests: bytes

    def known(self) -> dict[bytes, tuple[bytes, bytes]]:
        """Its files: by name, the packed row of numbers and the digest."""
        return {
            name: (
                self.stats[index * _ROW : (index + 1) * _ROW],
                self.digests[index * DIGEST : (index + 1) * DIGEST],
            )
            for index, name in enumerate(self.names.split(b"\0"))
        }


class Remembered:
    """A signature that was unpacked; damaged or foreign ones remember nothing."""

    def __init__(self, packed: bytes | None, *, device: int, follow: bool) -> None:
        """Unpack a signature of the same file system and the same way of walking."""
        self._sections: dict[bytes, Section] = {}
        if packed is None or not packed.startswith(_MAGIC):
            return
        body, checksum = packed[:-DIGEST], packed[-DIGEST:]
        if hashlib.sha256(body).digest() != checksum:
            return
        # From here on the bytes are the ones that pack() wrote.
        start = len(_MAGIC)
        count: int
        was_device, was_follow, count = _HEADER.unpack_from(body, start)
        start += _HEADER.size
        if (was_device, bool(was_follow)) == (device, follow):
            for _ in range(count):
                start = self._unpack(body, start)

    def _unpack(self, body: bytes, start: int) -> int:
        path_length: int
        names_length: int
        count: int
        path_length, names_length, count = _LENGTHS.unpack_from(body, start)
        path = start + _LENGTHS.size
        names = path + path_length
        stats = names + names_length
        digests = stats + count * _ROW
        end = digests + count * DIGEST
        self._sections[body[path:names]] = Section(
            body[start:end], body[names:stats], body[stats:digests], body[digests:end]
        )
        return end

    def of(self, path: str) -> Section | None:
        """What is remembered of a directory, by its path."""
        return self._sections.get(os.fsencode(path))


def pack_section(folder: Folder, digests: bytes, *, settled: int) -> tuple[bytes, bool]:
    """Pack one directory; files that are younger than ``settled`` are marked.

    Returns:
        The section, and whether no file had to be marked.
    """
    stats = folder.stats
    young = any(max(stats[time::FIELDS], default=0) >= settled for time in _TIMES)
    if young:
        stats = array("q", stats)
        for index in range(_MTIME, len(stats), FIELDS):
            if max(stats[index], stats[index + 1]) >= settled:
                stats[index] = UNTRUSTED
    path = os.fsencode(folder.path)
    names = os.fsencode("\0".join(folder.names))
    lengths = _LENGTHS.pack(len(path), len(names), len(folder.names))
    return b"".join((lengths, path, names, stats.tobytes(), digests)), not young


def pack(sections: Sequence[bytes], *, device: int, follow: bool) -> bytes:
    """Pack the sections of all directories into a signature."""
    header = _HEADER.pack(device, follow, len(sections))
    body = b"".join((_MAGIC, header, *sections))
    return body + hashlib.sha256(body).digest()
