"""Forwards connections to the newest version of a program, losing no request.

Each HTTP/1 request goes, over a connection of its own, to the version that is the
newest one when its head has arrived. A client's own connection therefore outlives all
versions, and there is no moment at which an idle one would have to be closed under a
client that is about to use it. Nothing is added to what is sent or left out of it.
What is no HTTP/1 (HTTP/2, WebSockets after their upgrade, any other protocol) stays
with the version it began with, and is ended some time after that one was replaced.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from aweigh.flow.exchange import Exchange, join, refuse
from aweigh.flow.http1 import CutShortError, Head, Source
from aweigh.flow.upstream import Upstream

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter, Task
    from collections.abc import AsyncIterator

__all__ = ["Forwarder"]

_CONNECT: Final = 10.0
_HTTP2: Final = b"PRI * HTTP/2.0\r\n"


class Forwarder:
    """Listens, and forwards to whichever version it was last switched to."""

    def __init__(self, *, http: bool) -> None:
        """Listen nowhere yet; see `listening`.

        Args:
            http: Whether clients are expected to speak HTTP. If not, a connection is a
                tunnel from its first byte, whoever speaks first.
        """
        self._http = http
        self._upstream: Upstream | None = None
        self._clients: set[Task[None]] = set()

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Listen until the block is left, and give the port.

        Args:
            host: The address of this machine to listen on.
            port: The port; 0 for any that is free.

        Raises:
            OSError: Somebody else listens there.
        """
        server = await asyncio.start_server(self._meet, host, port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for client in self._clients:
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    def switch(self, address: tuple[str, int]) -> Upstream:
        """Forward every request that comes from now on there."""
        self._upstream = Upstream(address)
        return self._upstream

    async def _meet(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError
        self._clients.add(task)
        try:
            await self._converse(Source(reader), writer)
        except (OSError, CutShortError):
            writer.transport.abort()
        except asyncio.CancelledError:
            # Ours alone: asyncio would report it as an error of the server.
            writer.transport.abort()
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, client: Source, writer: StreamWriter) -> None:
        if not self._http:
            await self._tunnel(client, writer, b"")
            return
        persists = True
        while persists:
            raw = await client.head()
            if not raw:
                return
            request = None if raw.startswith(_HTTP2) else Head.request(raw)
            if request is None:
                await self._tunnel(client, writer, raw)
                return
            persists = await self._exchange(request, client, writer)

    async def _connect(
        self, upstream: Upstream
    ) -> tuple[StreamReader, StreamWriter] | None:
        with suppress(OSError):
            async with asyncio.timeout(_CONNECT):
                return await asyncio.open_connection(*upstream.address)
        return None

    async def _exchange(
        self, request: Head, client: Source, writer: StreamWriter
    ) -> bool:
        """Pass one request on and its answer back; say whether another may follow."""
        tried: Upstream | None = None
        while (upstream := self._upstream) is not None and upstream is not tried:
            tried = upstream
            with upstream.used() as use:
                opened = await self._connect(upstream)
                # If it is gone because it was just replaced, ask its successor.
                if opened is not None:
                    talk = Exchange(request, client, writer, *opened)
                    try:
                        return await talk.run(use)
                    finally:
                        opened[1].close()
        refuse(writer, upstream.gone if upstream else "")
        await writer.drain()
        return False

    async def _tunnel(self, client: Source, writer: StreamWriter, raw: bytes) -> None:
        upstream = self._upstream
        opened = None
        if upstream is not None:
            with upstream.used() as use:
                opened = await self._connect(upstream)
                if opened is not None:
                    opened[1].write(raw)
                    try:
                        await join(use, client, writer, Source(opened[0]), opened[1])
                    finally:
                        opened[1].close()
        if opened is None:
            raise CutShortError
