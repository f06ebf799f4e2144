"""Compression: the same bytes for any number of threads, and bounded undoing."""

from __future__ import annotations

import gzip
import os
import threading
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aweigh.archive.compress import FRAME, gunzip, unzstd, zstd_chunks, zstd_format
from aweigh.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 1 << 30


def sample(size: int) -> bytes:
    """Bytes that compress to about half."""
    return b"".join(os.urandom(500) + bytes(500) for _ in range(size // 1000))


def pieces(content: bytes, size: int) -> list[bytes]:
    """Content in pieces of a size."""
    return [content[start : start + size] for start in range(0, len(content), size)]


def test_neither_threads_nor_pieces_show() -> None:
    """One, two and five threads, small and large pieces: equal bytes."""
    content = sample(3 * FRAME + 12_345)
    results = {
        b"".join(zstd_chunks(pieces(content, size), level=1, threads=threads))
        for threads, size in [(1, 70_000), (2, FRAME), (5, 3 * FRAME), (2, 1 << 20)]
    }
    results.add(b"".join(zstd_chunks([content], level=1)))
    assert len(results) == 1
    assert b"".join(unzstd(results, limit=len(content))) == content


@given(st.lists(st.binary(max_size=300), max_size=5))
@settings(max_examples=40, deadline=None)
def test_round_trip(parts: list[bytes]) -> None:
    """Other tools can read it, and so can we, in any pieces."""
    compressed = b"".join(zstd_chunks(parts, level=3))
    content = b"".join(parts)
    assert zstandard.ZstdDecompressor().decompress(compressed) == content
    assert b"".join(unzstd(pieces(compressed, 3), limit=2000)) == content


def test_the_format_names_library_and_level() -> None:
    """Whoever remembers compressed bytes can tell when they would differ."""
    assert zstd_format(1) != zstd_format(3)
    assert ".".join(map(str, zstandard.ZSTD_VERSION)) in zstd_format(1)


def test_an_abandoned_stream_leaves_no_thread() -> None:
    """Closing the generator ends its threads; an error of the source comes out."""

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    def failing() -> Iterator[bytes]:
        yield bytes(9 << 20)
        raise OSError("gone")

    stream = zstd_chunks(endless(), level=1, threads=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="gone"):
        list(zstd_chunks(failing(), level=1, threads=2))
    assert not [t for t in threading.enumerate() if t.name.startswith("aweigh-zstd")]


def test_bombs_end_at_the_limit() -> None:
    """A gigabyte of zeros in a few kilobytes does not come out."""
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(64 << 20))
    gzipped = gzip.compress(bytes(64 << 20), 1)
    for undo, content in (unzstd, bomb), (gunzip, gzipped):
        found: list[bytes] = []
        with pytest.raises(DamagedError, match="more than"):
            found.extend(undo([content], limit=3 << 20))
        assert sum(map(len, found)) <= 3 << 20


def test_damage_is_told() -> None:
    """Garbage and flipped bits are errors of ours."""
    good = b"".join(zstd_chunks([sample(50_000)], level=1))
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    for content in b"no zstd at all", flipped:
        with pytest.raises(DamagedError):
            list(unzstd([content], limit=LARGE))
    zipped = gzip.compress(sample(50_000))
    flipped = zipped[:-8] + bytes([zipped[-8] ^ 1]) + zipped[-7:]
    for content in b"no gzip at all", flipped, zipped[:-9], zipped[:5], b"":
        with pytest.raises(DamagedError):
            list(gunzip([content], limit=LARGE))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_gzip_members_are_joined(parts: list[bytes], size: int) -> None:
    """Concatenated gzip members are one stream, in pieces of any size."""
    stream = b"".join(map(gzip.compress, parts))
    assert b"".join(gunzip(pieces(stream, size), limit=1000)) == b"".join(parts)


def test_output_that_zlib_holds_back_comes_out() -> None:
    """A small input may stand for several pieces of output."""
    content = bytes(5 << 20)
    found = list(gunzip([gzip.compress(content)], limit=5 << 20))
    assert b"".join(found) == content
    assert max(map(len, found)) <= 1 << 20
