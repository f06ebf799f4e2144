"""BuildKit's progress messages: decoded, or refused."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.engine.trace import (
    Caution,
    Log,
    Status,
    Trace,
    Vertex,
    decode_trace,
)
from aweigh.errors import EngineError
from tests.backends.engine.test_wire import field


def encode(*fields: bytes) -> str:
    """Return a trace as the engine sends it."""
    return base64.b64encode(b"".join(fields)).decode()


def test_every_kind_is_decoded() -> None:
    """Vertexes, statuses, logs and warnings are read with all we use of them."""
    vertex = field(1, b"sha256:a") + field(2, b"sha256:b") + field(3, b"[1/2] RUN x")
    vertex += field(4, 1) + field(5, field(1, 10) + field(2, 500_000_000))
    vertex += field(6, field(1, 12)) + field(7, b"no")
    status = field(1, b"exporting") + field(2, b"sha256:a") + field(4, 3) + field(5, 9)
    log = field(1, b"sha256:a") + field(3, 2) + field(4, b"\xffhi\n")
    caution = field(1, b"sha256:a") + field(3, b"old style") + field(5, b"http://x")
    trace = decode_trace(
        encode(field(1, vertex), field(2, status), field(3, log), field(4, caution))
    )
    assert trace == Trace(
        vertexes=(
            Vertex(
                digest="sha256:a",
                name="[1/2] RUN x",
                cached=True,
                started=10.5,
                completed=12.0,
                error="no",
            ),
        ),
        statuses=(Status(vertex="sha256:a", id="exporting", current=3, total=9),),
        logs=(Log(vertex="sha256:a", stream=2, content=b"\xffhi\n"),),
        cautions=(Caution(vertex="sha256:a", short="old style", url="http://x"),),
    )


def test_missing_and_unknown_fields_are_defaults() -> None:
    """An empty vertex has no times; fields of a newer engine are skipped."""
    trace = decode_trace(encode(field(1, field(99, b"new")), field(77, 1)))
    assert trace.vertexes == (Vertex(digest="", name=""),)


def test_wrong_wire_types_are_defaults() -> None:
    """A number where a text belongs, and the reverse, do no harm."""
    trace = decode_trace(encode(field(1, field(1, 5) + field(4, b"yes"))))
    assert trace.vertexes == (Vertex(digest="", name=""),)


@given(st.binary(max_size=120))
def test_junk_is_a_trace_or_a_clear_error(data: bytes) -> None:
    """No bytes crash the decoder."""
    with suppress(EngineError):
        assert isinstance(decode_trace(base64.b64encode(data).decode()), Trace)


@pytest.mark.parametrize("text", ["*", "abc", "é"])
def test_no_base64_is_an_error(text: str) -> None:
    """Text that is no base64 is refused."""
    with pytest.raises(EngineError, match="no base64"):
        decode_trace(text)
