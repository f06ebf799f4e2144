"""BuildKit's progress: what a `moby.buildkit.trace` message says.

Fields: github.com/moby/buildkit, ``api/services/control/control.proto``, message
StatusResponse; the engine sends it in base64.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from aweigh.backends.engine.wire import read_fields
from aweigh.errors import EngineError

__all__ = ["Caution", "Log", "Status", "Trace", "Vertex", "decode_trace"]

_Fields = dict[int, list[int | bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertex:
    """A node of the build graph, as it is now.

    Attributes:
        digest: Its name in the other messages.
        name: What it is for people, such as ``[stage-0 2/3] RUN make``.
        cached: Whether its result was there already.
        started: When it started, in seconds since the epoch; None before.
        completed: When it ended; None before.
        error: Why it failed; empty when it did not.
    """

    digest: str
    name: str
    cached: bool = False
    started: float | None = None
    completed: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Progress of one thing inside a vertex, such as a download.

    Attributes:
        vertex: Digest of the vertex.
        id: The thing.
        current: How much is done.
        total: How much there is; 0 when nobody knows.
    """

    vertex: str
    id: str
    current: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Bytes a vertex wrote; not whole lines.

    Attributes:
        vertex: Digest of the vertex.
        stream: 1 for standard output, 2 for standard error.
        content: The bytes.
    """

    vertex: str
    stream: int
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something in the Dockerfile that BuildKit warns of.

    Attributes:
        vertex: Digest of the vertex.
        short: The warning.
        url: Where it is explained; may be empty.
    """

    vertex: str
    short: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """One progress message."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[Status, ...] = ()
    logs: tuple[Log, ...] = ()
    cautions: tuple[Caution, ...] = ()


def decode_trace(encoded: str) -> Trace:
    """Decode the ``aux`` of a `moby.buildkit.trace` message.

    Unknown fields are skipped: newer engines add some.

    Raises:
        EngineError: It is no base64, or no such message.
    """
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise EngineError(
            "the engine's build progress is damaged: no base64",
            hint="something between us and the engine altered its answer",
        ) from exc
    fields = _group(content)
    return Trace(
        vertexes=tuple(map(_vertex, _messages(fields, 1))),
        statuses=tuple(map(_status, _messages(fields, 2))),
        logs=tuple(map(_log, _messages(fields, 3))),
        cautions=tuple(map(_caution, _messages(fields, 4))),
    )


def _vertex(fields: _Fields) -> Vertex:
    return Vertex(
        digest=_text(fields, 1),
        name=_text(fields, 3),
        cached=bool(_number(fields, 4)),
        started=_time(fields, 5),
        completed=_time(fields, 6),
        error=_text(fields, 7),
    )


def _status(fields: _Fields) -> Status:
    return Status(
        id=_text(fields, 1),
        vertex=_text(fields, 2),
        current=_number(fields, 4),
        total=_number(fields, 5),
    )


def _log(fields: _Fields) -> Log:
    return Log(
        vertex=_text(fields, 1), stream=_number(fields, 3), content=_bytes(fields, 4)
    )


def _caution(fields: _Fields) -> Caution:
    return Caution(
        vertex=_text(fields, 1),
        short=_bytes(fields, 3).decode(errors="replace"),
        url=_text(fields, 5),
    )


def _group(content: bytes) -> _Fields:
    grouped: _Fields = {}
    for number, value in read_fields(content):
        grouped.setdefault(number, []).append(value)
    return grouped


def _messages(fields: _Fields, number: int) -> list[_Fields]:
    return [
        _group(value) for value in fields.get(number, ()) if isinstance(value, bytes)
    ]


def _bytes(fields: _Fields, number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _text(fields: _Fields, number: int) -> str:
    return _bytes(fields, number).decode(errors="replace")


def _number(fields: _Fields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _time(fields: _Fields, number: int) -> float | None:
    """A google.protobuf.Timestamp: seconds (1) and nanoseconds (2)."""
    found = _messages(fields, number)
    if not found:
        return None
    return _number(found[-1], 1) + _number(found[-1], 2) / 1e9
