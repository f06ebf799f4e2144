"""Deterministic zip files, written as a stream: equal members give equal bytes.

As with gzip (`aweigh.archive.gzipped`), another release of the compressor, or another
kind of processor, may give other bytes.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from typing import IO, TYPE_CHECKING, Final

from isal import isal_zlib

from aweigh.archive.compress import cut, in_parallel
from aweigh.archive.content import CHUNK, content, gathered
from aweigh.archive.zip_record import DEFLATED, Record, end_of_directory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from aweigh.archive.member import Member

__all__ = ["zip_chunks"]

# igzip's own scale, 2 of 3: twelve times as fast as zlib's level 6 on sources, and
# 13 % larger. What does not compress grows by less than 0.01 %.
_LEVEL: Final = 2
_RAW: Final = -15
# An empty last block: what comes before it ends with a flush.
_LAST: Final = b"\x03\x00"
_IN_MEMORY: Final = 8 << 20


def zip_chunks(members: Iterable[Member]) -> Iterator[bytes]:
    """Write members as a zip file, in the order given.

    Members' paths are known to be safe and distinct (`aweigh.archive.member.checked`).

    Exec bits and symlinks are in the external attributes, as Info-ZIP writes them.
    A file is stored where deflate does not make it smaller. Each file is read once
    and compared with its member, as by `aweigh.archive.tar.tar_chunks`. Memory stays
    constant: files above 1 MiB are followed by their sizes (a data descriptor), and
    the directory waits in a temporary file. Blocks on the disk: iterate in a worker
    thread (`aweigh.archive.stream.in_thread`).

    Raises:
        ChangedError: A file is not what its member says, or moved while it was read.
        TreeError: A path is not UTF-8, or a file cannot be read.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as directory:
        yield from gathered(_pieces(members, directory))


def _pieces(members: Iterable[Member], directory: IO[bytes]) -> Iterator[bytes]:
    offset = count = 0
    for member in members:
        record = yield from _member(member, offset)
        offset += len(record.local()) + record.packed
        if record.streamed:
            offset += len(record.descriptor())
        directory.write(record.central())
        count += 1
    size = directory.tell()
    directory.seek(0)
    while piece := directory.read(CHUNK):
        yield piece
    yield end_of_directory(count, size, offset)


def _member(member: Member, offset: int) -> Generator[bytes, None, Record]:
    if member.kind == "file" and member.size > CHUNK:
        return (yield from _streamed(member, offset))
    raw = b""
    if member.kind == "file":
        raw = b"".join(content(member))
    elif member.kind == "symlink":
        raw = os.fsencode(member.target)
    packed = _deflated(raw) if member.kind == "file" else raw
    smaller = len(packed) < len(raw)
    body = packed if smaller else raw
    record = Record(
        member=member,
        offset=offset,
        method=DEFLATED if smaller else 0,
        crc=isal_zlib.crc32(raw),
        packed=len(body),
        size=len(raw),
    )
    yield record.local()
    yield body
    return record


def _streamed(member: Member, offset: int) -> Generator[bytes, None, Record]:
    yield Record(member=member, offset=offset, streamed=True, method=DEFLATED).local()
    crc = packed = 0

    def read() -> Iterator[bytes]:
        nonlocal crc
        for piece in content(member):
            crc = isal_zlib.crc32(piece, crc)
            yield piece

    frames = in_parallel(cut(read()), _flushed, None)
    for piece in itertools.chain(frames, [_LAST]):
        packed += len(piece)
        yield piece
    record = Record(
        member=member,
        offset=offset,
        streamed=True,
        method=DEFLATED,
        crc=crc,
        packed=packed,
        size=member.size,
    )
    yield record.descriptor()
    return record


def _deflated(raw: bytes) -> bytes:
    deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW)
    return deflate.compress(raw) + deflate.flush()


def _flushed(frame: bytes) -> bytes:
    """Compress a frame so that the next one can follow."""
    deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW)
    return deflate.compress(frame) + deflate.flush(isal_zlib.Z_FULL_FLUSH)
