"""The records of a zip file that depend on nothing but what a member is.

PKWARE's APPNOTE 6.3.10 sections 4.3 and 4.5.3 (zip64); attributes as Info-ZIP does
on Unix.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.errors import TreeError

if TYPE_CHECKING:
    from aweigh.archive.member import Member

__all__ = ["DEFLATED", "STORED", "Record", "end_of_directory", "is_huge"]

STORED: Final = 0
DEFLATED: Final = 8

# All ones in a field mean that zip64's has the number.
_ONES_16: Final = 0xFFFF
_ONES: Final = 0xFFFF_FFFF
# From here on a number does not fit its 16 or 32 bits.
COUNT_LIMIT: Final = _ONES_16
LIMIT: Final = _ONES
# What deflate may add to a file that is nearly as large.
_MARGIN: Final = 64 << 20

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_DESCRIPTOR: Final = struct.Struct("<4s3L")
_DESCRIPTOR_64: Final = struct.Struct("<4sL2Q")

_UNIX: Final = 3 << 8
_VERSION: Final = 20
_VERSION_64: Final = 45
# The time of all our archives (`aweigh.archive.header.MTIME`), as MS-DOS writes it.
_TIME: Final = 0
_DATE: Final = (2000 - 1980) << 9 | 1 << 5 | 1
_IN_DESCRIPTOR: Final = 1 << 3
_UTF_8: Final = 1 << 11
_IS_DIRECTORY: Final = 0x10
_ZIP64: Final = 1

_MODES: Final = {
    "file": stat.S_IFREG | 0o644,
    "directory": stat.S_IFDIR | 0o755,
    "symlink": stat.S_IFLNK | 0o777,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a zip file says of one member.

    Attributes:
        member: The member.
        offset: Where its local header begins.
        streamed: Whether sizes and checksum follow the content instead of preceding
            it; they are unknown, 0, in the local header then.
        method: `STORED` or `DEFLATED`.
        crc: CRC-32 of the content.
        packed: Bytes of the content as it is in the file.
        size: Bytes of the content.
    """

    member: Member
    offset: int
    streamed: bool = False
    method: int = STORED
    crc: int = 0
    packed: int = 0
    size: int = 0

    def local(self) -> bytes:
        """Write the header in front of the content.

        Raises:
            TreeError: The name cannot be in a zip file.
        """
        name = self._name()
        huge = self.streamed and is_huge(self.member)
        extra = struct.pack("<2H2Q", _ZIP64, 16, 0, 0) if huge else b""
        sizes = (_ONES, _ONES) if huge else (self.packed, self.size)
        version = _VERSION_64 if huge else _VERSION
        head = (b"PK\x03\x04", version, self._flags(name), self.method, _TIME, _DATE)
        return (
            _LOCAL.pack(*head, self.crc, *sizes, len(name), len(extra)) + name + extra
        )

    def descriptor(self) -> bytes:
        """Write what follows a streamed content."""
        form = _DESCRIPTOR_64 if is_huge(self.member) else _DESCRIPTOR
        return form.pack(b"PK\x07\x08", self.crc, self.packed, self.size)

    def central(self) -> bytes:
        """Write the entry in the directory at the end."""
        name = self._name()
        huge = self.streamed and is_huge(self.member)
        large = [self.size, self.packed] if huge else []
        if self.offset >= LIMIT:
            large.append(self.offset)
        extra = b""
        if large:
            extra = struct.pack(f"<2H{len(large)}Q", _ZIP64, 8 * len(large), *large)
        sizes = (_ONES, _ONES) if huge else (self.packed, self.size)
        version = _VERSION_64 if large else _VERSION
        made = (b"PK\x01\x02", _UNIX | version, version, self._flags(name), self.method)
        lengths = (len(name), len(extra), 0, 0, 0)
        place = (self._attributes(), _ONES if self.offset >= LIMIT else self.offset)
        fields = (*made, _TIME, _DATE, self.crc, *sizes, *lengths, *place)
        return _CENTRAL.pack(*fields) + name + extra

    def _name(self) -> bytes:
        path = self.member.path + ("/" if self.member.kind == "directory" else "")
        try:
            name = path.encode()
        except UnicodeEncodeError:
            raise _unnameable(self.member, "has a name that is not UTF-8") from None
        if len(name) > _ONES_16:
            raise _unnameable(self.member, "has too long a name")
        return name

    def _flags(self, name: bytes) -> int:
        flags = 0 if name.isascii() else _UTF_8
        return flags | _IN_DESCRIPTOR if self.streamed else flags

    def _attributes(self) -> int:
        mode = _MODES[self.member.kind]
        if self.member.kind == "file" and self.member.executable:
            mode |= 0o111
        is_directory = self.member.kind == "directory"
        return mode << 16 | (_IS_DIRECTORY if is_directory else 0)


def is_huge(member: Member) -> bool:
    """Whether a member's sizes may need 64 bits, known before it is compressed."""
    return member.size >= LIMIT - _MARGIN


def end_of_directory(count: int, size: int, offset: int) -> bytes:
    """Write what comes last.

    Args:
        count: Members.
        size: Bytes of the directory.
        offset: Where it begins.
    """
    end = b""
    if count >= COUNT_LIMIT or size >= LIMIT or offset >= LIMIT:
        rest = _END_64.size - 12
        numbers = (_UNIX | _VERSION_64, _VERSION_64, 0, 0, count, count, size, offset)
        end += _END_64.pack(b"PK\x06\x06", rest, *numbers)
        end += _LOCATOR.pack(b"PK\x06\x07", 0, offset + size, 1)
        count, size, offset = _ONES_16, _ONES, _ONES
    return end + _END.pack(b"PK\x05\x06", 0, 0, count, count, size, offset, 0)


def _unnameable(member: Member, what: str) -> TreeError:
    return TreeError(
        f"{member.path!r} {what}: it cannot go into a zip file",
        hint="rename it, leave it out with .aweighignore, or use the form tar.gz",
        paths=[member.path],
    )
