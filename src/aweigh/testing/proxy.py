"""A proxy in front of a real service that fails as a script tells it to."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from aweigh.testing.exchange import END, PIECE, Exchange
from aweigh.testing.registry import Received

if TYPE_CHECKING:
    from types import TracebackType

    from aweigh.testing.exchange import ProxyFault, Streams

__all__ = ["FaultProxy"]

_HEAD_LIMIT = 64 << 10
# How long a client may go on sending after it was answered.
_LINGER = 1.0
_UNIX = "unix://"


@dataclass(frozen=True, slots=True)
class _Rule:
    fault: ProxyFault
    method: str
    path: re.Pattern[str]

    def takes(self, received: Received | None) -> bool:
        if received is None:
            return not self.method and not self.path.pattern
        meant = self.method in ("", received.method)
        return meant and self.path.search(received.path) is not None


class FaultProxy:
    """Stands on 127.0.0.1 in front of a service; use it as an async context manager.

    Without faults (`aweigh.testing.proxy_faults` has them) it passes on what it gets.
    Each HTTP request has a connection of its own to the service, and from the client,
    which is told to close it. What is no plain HTTP, such as TLS, passes through;
    faults then take a whole connection, and only those that are for every request.

    Example::

        async with FaultProxy("127.0.0.1:5000") as proxy:
            proxy.next(Reset(), Answer(503))  # the next two requests
            proxy.always(Hang(), method="PUT")
            settings = Settings(registry=f"{proxy.address}/team")

    Attributes:
        address: ``127.0.0.1:port``, where it listens.
        connections: How many connections it has accepted.
        received: Every HTTP request so far.
    """

    def __init__(self, target: str) -> None:
        """Describe it; entering the context starts it.

        Args:
            target: The service: ``host:port``, or ``unix:///path``.
        """
        self.address = ""
        self.connections = 0
        self.received: list[Received] = []
        self._target = target
        self._next: list[_Rule] = []
        self._always: list[_Rule] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start to listen on a free port."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._stack.push_async_callback(self._drop)
        self._stack.callback(server.close)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and drop every connection."""
        await self._stack.aclose()

    def next(self, *faults: ProxyFault, method: str = "", path: str = "") -> None:
        """Let each of these faults befall one of the next requests, in this order.

        Args:
            faults: What goes wrong.
            method: Only requests with this method.
            path: Only requests in whose path this regular expression is found.
        """
        self._next += [_Rule(fault, method, re.compile(path)) for fault in faults]

    def always(self, fault: ProxyFault, *, method: str = "", path: str = "") -> None:
        """Let a fault befall every request that `next` leaves; the newest one wins."""
        self._always.insert(0, _Rule(fault, method, re.compile(path)))

    def clear(self) -> None:
        """Forget all faults; those under way go on."""
        self._next.clear()
        self._always.clear()

    def requests(self, method: str = "", path: str = "") -> list[Received]:
        """Return the requests with this method and, by regular expression, path."""
        return [
            received
            for received in self.received
            if method in ("", received.method) and re.search(path, received.path)
        ]

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            # What the client sees of it is a closed connection.
            with suppress(OSError):
                await self._answer(reader, writer)
                await _linger(reader, writer)
        finally:
            writer.transport.abort()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        start = await _first_bytes(reader)
        if not start:
            return
        received = _parse(start)
        head, rest = b"", start
        if received is not None:
            self.received.append(received)
            head, _, rest = start.partition(END)
            head = _closing(head) + END
        fault = self._choose(received)
        exchange = Exchange(received, reader, writer, head, rest, self._connect)
        await (exchange.relay() if fault is None else fault.apply(exchange))

    def _choose(self, received: Received | None) -> ProxyFault | None:
        for rule in self._next:
            if rule.takes(received):
                self._next.remove(rule)
                return rule.fault
        return next((r.fault for r in self._always if r.takes(received)), None)

    async def _connect(self) -> Streams:
        if self._target.startswith(_UNIX):
            path = self._target.removeprefix(_UNIX)
            return await asyncio.open_unix_connection(path)
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))


async def _first_bytes(reader: asyncio.StreamReader) -> bytes:
    """Read a request's head, or a first piece of what is none."""
    start = await reader.read(PIECE)
    while start[:1].isalpha() and END not in start:
        piece = await reader.read(PIECE)
        if not piece or len(start) > _HEAD_LIMIT:
            return b""
        start += piece
    return start


def _parse(start: bytes) -> Received | None:
    lines = start.partition(END)[0].decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if not words[-1].startswith("HTTP/1."):
        return None
    path, _, query = words[1].partition("?")
    pairs = (line.partition(":") for line in lines[1:])
    headers = {name.strip().title(): value.strip() for name, _, value in pairs}
    return Received(method=words[0], path=path, query=query, headers=headers)


def _closing(head: bytes) -> bytes:
    """Ask for the connection's end after the answer, unless it changes its protocol."""
    lines = head.split(b"\r\n")
    if any(line.lower().startswith(b"upgrade:") for line in lines):
        return head
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join((*kept, b"Connection: close"))


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End our side and let the client end its own, so that it reads everything."""
    if writer.is_closing():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            await writer.drain()
            writer.write_eof()
            while await reader.read(PIECE):
                pass
