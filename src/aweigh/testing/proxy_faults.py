"""What a `FaultProxy` can do to a request, as values."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from aweigh.testing.exchange import END, PIECE, first
from aweigh.testing.spoiled_answers import Damage, Drip, Rewrite, Stall, Truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.testing.exchange import Exchange

__all__ = [
    "Answer",
    "CutRequest",
    "CutResponse",
    "Damage",
    "Delay",
    "Drip",
    "Garbage",
    "Hang",
    "Redirect",
    "Reset",
    "Rewrite",
    "Stall",
    "Truncate",
]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers with exactly this; the service hears nothing.

    Attributes:
        status: HTTP status.
        body: The content; a HEAD gets its length only.
        headers: Headers besides ``Content-Length``.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    async def apply(self, exchange: Exchange, /) -> None:
        """Write the answer."""
        lines = [
            f"HTTP/1.1 {self.status} {_phrase(self.status)}",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        exchange.writer.write("\r\n".join(lines).encode("latin-1") + END)
        if exchange.received is not None and exchange.received.method == "HEAD":
            return
        for start in range(0, len(self.body), PIECE):
            exchange.writer.write(self.body[start : start + PIECE])
            await exchange.writer.drain()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere.

    Attributes:
        location: A URL; ``{path}`` in it becomes the request's path.
        status: HTTP status.
    """

    location: str
    status: int = 307

    async def apply(self, exchange: Exchange, /) -> None:
        """Write the redirect."""
        path = exchange.received.path if exchange.received else ""
        place = self.location.replace("{path}", path)
        await Answer(self.status, headers={"Location": place}).apply(exchange)


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answers with bytes that need not be HTTP.

    Attributes:
        content: The bytes.
    """

    content: bytes = b"\x00\xff 220 not a web server\r\n\r\n"

    async def apply(self, exchange: Exchange, /) -> None:
        """Write the bytes."""
        exchange.writer.write(self.content)


@dataclass(frozen=True, slots=True)
class Reset:
    """Resets the connection (TCP RST) in place of an answer."""

    async def apply(self, exchange: Exchange, /) -> None:
        """Reset it."""
        _reset(exchange)


@dataclass(frozen=True, slots=True)
class Hang:
    """Takes the request and says nothing until the client leaves."""

    async def apply(self, exchange: Exchange, /) -> None:
        """Wait for the client to leave."""
        await exchange.vanished()


@dataclass(frozen=True, slots=True)
class Delay:
    """Lets the service answer, later.

    Attributes:
        seconds: How much later.
    """

    seconds: float

    async def apply(self, exchange: Exchange, /) -> None:
        """Wait, then pass the request on."""
        await asyncio.sleep(self.seconds)
        await exchange.relay()


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Breaks both connections in the middle of the request.

    Attributes:
        after: Bytes of the request's content that reach the service.
    """

    after: int

    async def apply(self, exchange: Exchange, /) -> None:
        """Pass on a part of the request."""
        await exchange.relay(upload=lambda pieces: first(pieces, self.after))
        _reset(exchange)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutResponse:
    """Breaks the connection in the middle of the service's answer.

    Attributes:
        after: Bytes of the answer that reach the client, its head included.
        reset: Whether the connection is reset, or closed as if all were well.
    """

    after: int
    reset: bool = True

    async def apply(self, exchange: Exchange, /) -> None:
        """Pass on a part of the answer."""
        await exchange.relay(download=lambda pieces: first(pieces, self.after))
        if self.reset:
            _reset(exchange)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _reset(exchange: Exchange) -> None:
    connection = exchange.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    exchange.writer.transport.abort()
