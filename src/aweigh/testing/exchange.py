"""One request between a client and a service, and streams of its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.testing.registry import Received

__all__ = [
    "END",
    "PIECE",
    "Exchange",
    "Pieces",
    "Pipe",
    "ProxyFault",
    "Streams",
    "chain",
    "first",
    "split_head",
]

END = b"\r\n\r\n"
PIECE = 64 << 10

Pieces = AsyncGenerator[bytes, None]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ProxyFault(Protocol):
    """Answers a request in place of the service, or spoils its answer."""

    async def apply(self, exchange: Exchange, /) -> None:
        """Do it; the connection is closed when this returns."""
        ...


@dataclass(slots=True)
class Exchange:
    """One request on its way, as faults see it.

    Attributes:
        received: The request; None where the connection does not speak plain HTTP.
        reader: What the client sends, after ``head`` and ``rest``.
        writer: Where the client reads.
        head: The request's head, rewritten so that the service closes the connection
            after its answer; empty without plain HTTP.
        rest: What came together with the head.
    """

    received: Received | None
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes
    rest: bytes
    _connect: Callable[[], Awaitable[Streams]] = field(repr=False)

    async def relay(
        self,
        *,
        upload: Pipe | None = None,
        download: Pipe | None = None,
    ) -> None:
        """Let the service answer.

        Ends when the answer has ended, or when one of the pipes has.

        Args:
            upload: What becomes of the bytes that the client sends after the head.
            download: What becomes of the bytes that the service sends.
        """
        reader, writer = await self._connect()
        try:
            writer.write(self.head)
            sent, answer = _pieces(self.reader, self.rest), _pieces(reader)
            sending = asyncio.create_task(_copy(sent, writer, upload))
            answering = asyncio.create_task(_copy(answer, self.writer, download))
            try:
                # A client that leaves takes its request with it, as without a proxy.
                await asyncio.wait(
                    (sending, answering), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for task in (sending, answering):
                    task.cancel()
                await asyncio.gather(sending, answering, return_exceptions=True)
        finally:
            writer.transport.abort()

    async def vanished(self) -> None:
        """Wait until the client has gone."""
        with suppress(ConnectionError):
            while await self.reader.read(PIECE):
                pass


class Pipe(Protocol):
    """Changes a stream of bytes; the connection ends where it ends."""

    def __call__(self, pieces: Pieces, /) -> Pieces:
        """Yield what is to be passed on."""
        ...


async def first(pieces: Pieces, count: int) -> Pieces:
    """Yield that many bytes and end."""
    while count > 0:
        piece = await anext(pieces, b"")
        if not piece:
            return
        yield piece[:count]
        count -= len(piece)


async def split_head(pieces: Pieces) -> tuple[bytes, bytes]:
    """Read the answer's head, and what came with it; interim answers are left out."""
    start = b""
    while True:
        while END not in start:
            piece = await anext(pieces, b"")
            if not piece:
                return start, b""
            start += piece
        head, end, rest = start.partition(END)
        if not head.startswith(b"HTTP/1.1 1"):
            return head + end, rest
        start = rest


async def chain(start: bytes, pieces: Pieces) -> Pieces:
    """Yield what was read already, then the rest."""
    if start:
        yield start
    async for piece in pieces:
        yield piece


async def _copy(
    pieces: Pieces,
    writer: asyncio.StreamWriter,
    pipe: Pipe | None,
) -> None:
    """Pass pieces on until they end or nobody takes them."""
    async with aclosing(pieces), aclosing(pipe(pieces) if pipe else pieces) as changed:
        with suppress(OSError):
            async for piece in changed:
                writer.write(piece)
                await writer.drain()


async def _pieces(reader: asyncio.StreamReader, first: bytes = b"") -> Pieces:
    if first:
        yield first
    # A reset is an end like any other here.
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            yield piece
