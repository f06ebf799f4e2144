"""Gzip layers: what comes out is what went in, and depends on nothing else."""

import gzip
import itertools
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.archive.compress import FRAME
from aweigh.archive.gzipped import gzip_chunks

TEXT = b"import os\nfrom typing import Any\n" * 1000


def sample(size: int) -> bytes:
    """Return bytes that compress about as well as programs do."""
    drawn = random.Random(7)  # noqa: S311 - no secret
    words = [drawn.randbytes(drawn.randrange(3, 40)) for _ in range(900)]
    parts = drawn.choices(words, k=size // 10)
    return b"".join(parts)[:size]


@pytest.mark.parametrize("size", [0, 1, 5000, FRAME, 2 * FRAME, 2 * FRAME + 1])
def test_any_tool_reads_it(size: int) -> None:
    """Around the sizes where it begins to be done otherwise."""
    content = sample(size)
    packed = b"".join(gzip_chunks([content]))
    assert gzip.decompress(packed) == content
    assert packed[4:8] == bytes(4)


@given(cuts=st.lists(st.integers(0, 9 << 20), max_size=6), threads=st.integers(1, 3))
def test_pieces_and_threads_do_not_show(cuts: list[int], threads: int) -> None:
    """Only the content counts."""
    content = TEXT * 290
    places = sorted({min(cut, len(content)) for cut in cuts} | {0, len(content)})
    pieces = [content[a:b] for a, b in itertools.pairwise(places)]
    packed = b"".join(gzip_chunks(pieces, threads=threads))
    assert packed == b"".join(gzip_chunks([content]))


def test_small_input_is_compressed_well_and_large_input_fast() -> None:
    """What an added package moves is small; what a heavy one costs is time."""
    small = sample(300_000)
    assert len(b"".join(gzip_chunks([small]))) <= len(zlib.compress(small, 9)) + 32
    large = TEXT * 600
    assert len(b"".join(gzip_chunks([large]))) < len(large) // 50
