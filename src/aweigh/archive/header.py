"""Tar headers that depend on nothing but what a member is.

They are POSIX ustar (IEEE Std 1003.1, pax, "ustar Interchange Format"), preceded by a
pax extended header only where ustar cannot say it: long or non-ASCII names, and files
of 8 GiB and more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aweigh.archive.member import Member

__all__ = ["BLOCK", "MTIME", "header"]

BLOCK: Final = 512
# 2000-01-01 UTC: in the range of every archive format and after every time zone's
# idea of 1980, and not 0, which some build tools take for "missing".
MTIME: Final = 946_684_800

_NAME_LIMIT: Final = 100
_PREFIX_LIMIT: Final = 155
_SIZE_LIMIT: Final = 8 << 30
_TYPE: Final = {"file": b"0", "symlink": b"2", "directory": b"5"}


def header(member: Member) -> bytes:
    """Write what stands before a member's content: 512 bytes, or more with pax."""
    name = os.fsencode(member.path)
    if member.kind == "directory":
        name += b"/"
    target = os.fsencode(member.target) if member.kind == "symlink" else b""
    size = member.size if member.kind == "file" else 0
    extended: list[tuple[bytes, bytes]] = []
    prefix = b""
    if not name.isascii() or len(name) > _NAME_LIMIT:
        split = _split(name)
        if split is None:
            extended.append((b"path", name))
            name = _ascii(name)
        else:
            prefix, name = split
    if not target.isascii() or len(target) > _NAME_LIMIT:
        extended.append((b"linkpath", target))
        target = _ascii(target)
    if size >= _SIZE_LIMIT:
        extended.append((b"size", b"%d" % size))
        size = 0
    mode = {"symlink": 0o777, "directory": 0o755, "file": 0o644}[member.kind]
    if member.executable and member.kind == "file":
        mode = 0o755
    block = _block(
        name,
        mode=mode,
        size=size,
        kind=_TYPE[member.kind],
        target=target,
        prefix=prefix,
    )
    return _extended(extended) + block if extended else block


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Cut a long ASCII name at a slash, so that both ustar fields hold it."""
    if not name.isascii() or len(name) > _PREFIX_LIMIT + 1 + _NAME_LIMIT:
        return None
    cut = name.find(b"/", max(len(name) - _NAME_LIMIT - 1, 1), len(name) - 1)
    if cut < 0 or cut > _PREFIX_LIMIT:
        return None
    return name[:cut], name[cut + 1 :]


def _ascii(name: bytes) -> bytes:
    """A stand-in for readers that know no pax headers."""
    text = name[-_NAME_LIMIT:].decode("ascii", "replace")
    return text.replace("\N{REPLACEMENT CHARACTER}", "_").encode().lstrip(b"/")


def _block(
    name: bytes,
    *,
    mode: int,
    size: int,
    kind: bytes,
    target: bytes = b"",
    prefix: bytes = b"",
) -> bytes:
    # Only the varying fields are summed up: adding 512 numbers per file shows.
    fields = b"%07o\0%011o\0" % (mode, size)
    checksum = _FIXED_SUM + sum(name) + sum(fields) + kind[0] + sum(target)
    checksum += sum(prefix)
    return b"%b%b%b%b%b%06o\0 %b%b%b%b%b" % (
        name.ljust(100, b"\0"),
        fields[:8],
        _OWNER,
        fields[8:],
        _TIME,
        checksum,
        kind,
        target.ljust(100, b"\0"),
        _MAGIC,
        prefix.ljust(155, b"\0"),
        _TAIL,
    )


_OWNER: Final = b"0000000\0" * 2
_TIME: Final = b"%011o\0" % MTIME
_MAGIC: Final = b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
_TAIL: Final = bytes(12)
_FIXED_SUM: Final = sum(_OWNER) + sum(_TIME) + sum(_MAGIC) + 8 * ord(" ")


def _extended(records: list[tuple[bytes, bytes]]) -> bytes:
    """A pax extended header; names that are no UTF-8 are marked as raw bytes."""
    values = b"".join(value for _, value in records)
    if os.fsencode(values.decode("utf-8", "replace")) != values:
        records = [(b"hdrcharset", b"BINARY"), *records]
    body = b"".join(_record(key, value) for key, value in records)
    block = _block(b"././@PaxHeader", mode=0o644, size=len(body), kind=b"x")
    return block + body + bytes(-len(body) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """Length, space, key, equals sign, value, newline; the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest
    while rest + len(b"%d" % length) != length:
        length = rest + len(b"%d" % length)
    return b"%d %b=%b\n" % (length, key, value)
