"""Byte-stable compression: the same input gives the same bytes on every machine.

zstd's output differs between its single- and multi-threaded modes. Here the input is
cut into frames of 4 MiB that are compressed one by one (RFC 8878 lets frames be
concatenated), so neither the number of threads nor the size of the pieces that come
in can show in the result.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import zstandard

from aweigh.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "FRAME",
    "cut",
    "gunzip",
    "in_parallel",
    "sized",
    "unzstd",
    "zstd_chunks",
    "zstd_format",
    "zstd_frame",
]

FRAME: Final = 4 << 20
_SMALL_FRAMES: Final = 2
_PIECE: Final = 1 << 20
# The largest window a stranger's archive may ask us to allocate.
_MAX_WINDOW: Final = 128 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS


def zstd_format(level: int) -> str:
    """Name everything the bytes of `zstd_chunks` depend on besides its input."""
    version = ".".join(str(part) for part in zstandard.ZSTD_VERSION)
    return f"zstd-{version}-frames-{FRAME >> 20}m-level-{level}"


def zstd_chunks(
    chunks: Iterable[bytes], *, level: int, threads: int | None = None
) -> Iterator[bytes]:
    """Compress a stream; one piece comes out per 4 MiB that went in.

    Args:
        chunks: The input, in pieces of any size.
        level: zstd's level, 1 is fast.
        threads: Frames compressed side by side; the processors when None. The
            result does not depend on it. Input of one frame starts no thread.
    """
    compress = functools.partial(_compress, level=level)
    yield from in_parallel(cut(chunks), compress, threads)


def sized(chunks: Iterable[bytes]) -> tuple[Iterator[bytes], bool]:
    """Cut a stream into frames, and tell whether they are few: 8 MiB at most.

    What is small may be compressed better, for it takes no time.
    """
    frames = cut(chunks)
    first = list(itertools.islice(frames, _SMALL_FRAMES + 1))
    return itertools.chain(first, frames), len(first) <= _SMALL_FRAMES


def in_parallel(
    frames: Iterator[bytes], compress: Callable[[bytes], bytes], threads: int | None
) -> Iterator[bytes]:
    """Compress frames side by side, in order; a single one starts no thread."""
    workers = threads or max(1, min(4, os.cpu_count() or 1))
    first = next(frames, b"")
    second = next(frames, None)
    if second is None:
        yield compress(first)
        return
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(workers, "aweigh-compress") as pool:
        try:
            waiting.append(pool.submit(compress, first))
            waiting.append(pool.submit(compress, second))
            for frame in frames:
                while len(waiting) > workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(compress, frame))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def zstd_frame(frame: bytes, *, level: int) -> bytes:
    """Compress up to 4 MiB as `zstd_chunks` does, without its preparations."""
    return _compress(frame, level)


def _compress(frame: bytes, level: int) -> bytes:
    return _compressors.of(level).compress(frame)


class _Compressors(threading.local):
    """Each thread's own: making one takes as long as compressing 30 KB."""

    def __init__(self) -> None:
        self._made: dict[int, zstandard.ZstdCompressor] = {}

    def of(self, level: int) -> zstandard.ZstdCompressor:
        if level not in self._made:
            self._made[level] = zstandard.ZstdCompressor(
                level=level, write_checksum=True
            )
        return self._made[level]


_compressors: Final = _Compressors()


def cut(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream into frames of 4 MiB, whatever the pieces it comes in."""
    parts: list[memoryview] = []
    held = 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while held + len(rest) >= FRAME:
            take = FRAME - held
            parts.append(rest[:take])
            yield b"".join(parts)
            rest = rest[take:]
            parts, held = [], 0
        if rest:
            parts.append(rest)
            held += len(rest)
    if parts:
        yield b"".join(parts)


class _Reader:
    """The file object that zstandard reads a stream of pieces from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        size = len(self._rest) if size < 0 else size
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def unzstd(chunks: Iterable[bytes], *, limit: int) -> Iterator[bytes]:
    """Decompress zstd frames, in pieces of at most 1 MiB.

    A stream cut inside a frame ends early without an error here; whoever knows what
    must be in it notices (`aweigh.archive.escapes`).

    Args:
        chunks: The compressed stream.
        limit: Bytes that may come out in all; more is an attack, not an archive.

    Raises:
        DamagedError: It is no zstd, damaged, or larger than the limit.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    total = 0
    with decompressor.stream_reader(
        _Reader(chunks),  # type: ignore[arg-type]  # it only ever calls read()
        read_size=_PIECE,
        read_across_frames=True,
        closefd=False,
    ) as reader:
        while True:
            try:
                piece = reader.read(_PIECE)
            except zstandard.ZstdError as error:
                raise _damaged(f"is no valid zstd ({error})") from error
            if not piece:
                return
            total += len(piece)
            if total > limit:
                raise _damaged(f"unpacks to more than {limit} bytes")
            yield piece


def gunzip(chunks: Iterable[bytes], *, limit: int) -> Iterator[bytes]:
    """Decompress gzip members, in pieces of at most 1 MiB.

    Args:
        chunks: The compressed stream.
        limit: Bytes that may come out in all; more is an attack, not an archive.

    Raises:
        DamagedError: It is no gzip, damaged, cut short, or larger than the limit.
    """
    total = 0
    inflate = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        data = chunk
        while data:
            if inflate.eof:
                inflate = zlib.decompressobj(_GZIP)
            try:
                piece = inflate.decompress(data, _PIECE)
            except zlib.error as error:
                raise _damaged(f"is no valid gzip ({error})") from error
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            total += len(piece)
            if total > limit:
                raise _damaged(f"unpacks to more than {limit} bytes")
            if piece:
                yield piece
    # zlib may hold back output when a piece came out full exactly at the end.
    while not inflate.eof:
        piece = inflate.decompress(b"", _PIECE)
        if not piece:
            raise _damaged("ends in the middle")
        total += len(piece)
        if total > limit:
            raise _damaged(f"unpacks to more than {limit} bytes")
        yield piece


def _damaged(what: str) -> DamagedError:
    return DamagedError(
        f"the compressed stream {what}",
        hint="fetch it again; if it stays so, upload it anew",
    )
