"""One request forwarded and its answer brought back; or a tunnel, byte by byte."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aweigh.flow.http1 import CutShortError, Head, Source, copy_body

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from aweigh.flow.upstream import Use

__all__ = ["Exchange", "join", "refuse"]

_LINGER: Final = 1.0
_AHEAD: Final = 1 << 18


class Exchange:
    """One request on its way to a version, and the answer on its way back."""

    def __init__(
        self,
        request: Head,
        client: Source,
        writer: StreamWriter,
        reader: StreamReader,
        sink: StreamWriter,
    ) -> None:
        self._request = request
        self._client = client
        self._writer = writer
        self._program = Source(reader)
        self._sink = sink
        self._answered = False
        self._sent = False

    async def run(self, use: Use) -> bool:
        """Do it; say whether another request may follow on the client's connection."""
        sending = asyncio.ensure_future(self._send())
        answering = asyncio.ensure_future(self._answer())
        try:
            await asyncio.wait({sending, answering}, return_when="FIRST_COMPLETED")
            if not answering.done() and sending.result():
                raise CutShortError
            response = await answering
        finally:
            sending.cancel()
            answering.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)
        if response is None:
            refuse(self._writer, "it closed the connection without an answer")
            await self._writer.drain()
            return False
        if response.switches(self._request):
            await join(use, self._client, self._writer, self._program, self._sink)
            return False
        persists = (
            self._request.persists
            and response.persists
            and response.framing(self._request) != "until-close"
        )
        if not self._sent:
            await self._linger()
            return False
        return persists

    async def _send(self) -> bool:
        """Send the request; then wait until the client is gone, and say so."""
        try:
            self._sink.write(self._request.raw)
            await self._sink.drain()
            await copy_body(self._client, self._sink, self._request.framing())
        except OSError:
            # It may have answered and closed before it read everything.
            return False
        self._sent = True
        while self._client.held < _AHEAD:
            if not await self._client.more():
                return True
        return False

    async def _answer(self) -> Head | None:
        while True:
            try:
                raw = await self._program.head()
            except OSError:
                raw = b""
            response = Head.response(raw)
            if response is None:
                if raw or self._answered:
                    raise CutShortError
                return None
            self._answered = True
            self._writer.write(raw)
            await self._writer.drain()
            if not response.is_interim:
                break
        if not response.switches(self._request):
            framing = response.framing(self._request)
            await copy_body(self._program, self._writer, framing)
        return response

    async def _linger(self) -> None:
        """Read on what the client still sends, or it may never see the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                self._writer.write_eof()
                while await self._client.take():
                    pass


async def join(
    use: Use, client: Source, writer: StreamWriter, program: Source, sink: StreamWriter
) -> None:
    """Pass bytes on both ways until both ends are done."""

    async def pour(source: Source, into: StreamWriter) -> None:
        while piece := await source.take():
            use.quiet_since = time.monotonic()
            into.write(piece)
            await into.drain()
        if into.can_write_eof():
            into.write_eof()

    use.quiet_since = time.monotonic()
    pouring = [
        asyncio.ensure_future(pour(client, sink)),
        asyncio.ensure_future(pour(program, writer)),
    ]
    try:
        await asyncio.gather(*pouring)
    finally:
        for each in pouring:
            each.cancel()
        await asyncio.gather(*pouring, return_exceptions=True)


def refuse(writer: StreamWriter, why: str) -> None:
    """Answer in the place of a program that does not."""
    text = f"aweigh serve: the program does not answer{why and f': {why}'}\n".encode()
    writer.write(
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
    )
