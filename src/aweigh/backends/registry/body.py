"""Bodies in both directions: bounded reading, paced streams, files that are sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aiofiles.threadpool import wrap

from aweigh.concurrency.files import opened
from aweigh.errors import ChangedError, RegistryError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from pathlib import Path

    import aiohttp
    from aiofiles.threadpool.binary import AsyncBufferedReader

__all__ = [
    "_PACE",
    "BytesBody",
    "FileBody",
    "PiecesBody",
    "paced",
    "read_bounded",
    "unreadable",
]

_READ = 1 << 20
_REFUSALS = 400
_PIECE = 64 << 10
# A stream that brings less than this within the idle deadline counts as silent, so
# that a byte now and then does not hold us for ever.
_PACE = 16 << 10
_LONGEST_READ = 5.0
_MOMENT = 0.005


async def read_bounded(
    response: aiohttp.ClientResponse, registry: str, *, limit: int
) -> bytes:
    """Return the whole body, as it came (never decompressed).

    Of a refusal's body, which is for people, the beginning will do.

    Raises:
        RegistryError: It is longer than ``limit`` bytes; no more than that was read.
    """
    parts: list[bytes] = []
    size = 0
    declared = 0 if response.method == "HEAD" else response.content_length or 0
    refused = response.status >= _REFUSALS
    if refused:
        limit = min(limit, _PIECE)
    while size <= limit and (declared <= limit or refused):
        chunk = await response.content.readany()
        if not chunk:
            return b"".join(parts)
        parts.append(chunk)
        size += len(chunk)
    if refused:
        return b"".join(parts)[:limit]
    raise RegistryError(
        f"bad answer from {registry}: more than {limit} bytes where fewer belong",
        hint="the registry, or something between it and us, is not what it should be",
        registry=registry,
        status=response.status,
    )


async def paced(
    response: aiohttp.ClientResponse, *, idle: float
) -> AsyncGenerator[bytes, None]:
    """Yield the body in pieces of about 1 MiB.

    Args:
        response: What is being read.
        idle: Seconds in which at least 16 KiB must come, or the rest of it.

    Raises:
        TimeoutError: The stream is silent or drips.
    """
    parts = bytearray()
    ended = False
    while not ended:
        async with asyncio.timeout(idle):
            goal = len(parts) + _PACE
            while len(parts) < goal and not ended:
                chunk = await response.content.readany()
                parts += chunk
                ended = not chunk
        if len(parts) >= _READ or (ended and parts):
            yield bytes(parts)
            parts.clear()


class BytesBody:
    """Some bytes to send."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def content(self) -> bytes:
        """Return them."""
        return self._content


class PiecesBody:
    """Some bytes to send, whose progress somebody watches."""

    def __init__(self, content: bytes, *, progressed: Callable[[int], None]) -> None:
        self._content = content
        self._progressed = progressed
        self.length = len(content)

    async def content(self) -> AsyncIterator[bytes]:
        """Yield them, and tell after each piece that the connection took."""
        for start in range(0, self.length, _PIECE):
            piece = self._content[start : start + _PIECE]
            yield piece
            self._progressed(start + len(piece))


class FileBody:
    """A file to send, read anew each time in 1 MiB reads.

    Attributes:
        length: Bytes that are promised to the registry.
        fault: What went wrong with the file while it was being sent; the HTTP client
            would hide it behind an error of the connection.
    """

    def __init__(
        self, path: Path, length: int, *, progressed: Callable[[int], None]
    ) -> None:
        self.length = length
        self.fault: ChangedError | None = None
        self._path = path
        self._progressed = progressed
        self._begun: list[AsyncGenerator[bytes, None]] = []

    async def aclose(self) -> None:
        """Close the file of requests that ended before their body did."""
        # The client's writer was cancelled with the request; let it come out first.
        await asyncio.sleep(0)
        for blocks in self._begun:
            await _close(blocks)

    async def content(self) -> AsyncIterator[bytes]:
        """Yield exactly as many bytes as were promised.

        Raises:
            ChangedError: The file has another size now, or cannot be read.
        """
        try:
            async for piece in self._pieces():
                yield piece
        except OSError as error:
            self.fault = unreadable(self._path, error)
            raise self.fault from error
        except ChangedError as error:
            self.fault = error
            raise

    async def _pieces(self) -> AsyncIterator[bytes]:
        sent = 0
        blocks = self._blocks()
        self._begun.append(blocks)
        async for block in blocks:
            sent += len(block)
            if sent > self.length:
                break
            before = sent - len(block)
            for start in range(0, len(block), _PIECE):
                piece = block[start : start + _PIECE]
                yield piece
                # Resumed only when the connection took the piece.
                self._progressed(before + start + len(piece))
        if sent != self.length:
            raise ChangedError(
                f"{self._path} changed its size while it was being pushed",
                hint="do not change files that are being pushed, then try again",
                paths=(str(self._path),),
            )

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield the file, closed before its last block: nobody asks for more then."""
        file: AsyncBufferedReader = wrap(await opened(self._path, "rb"))
        try:
            block = await file.read(_READ)
            while following := await file.read(_READ):
                yield block
                block = following
        finally:
            # Cancelled once more, it would be taken out of the threads' queue.
            await asyncio.shield(file.close())
        yield block


async def _close(blocks: AsyncGenerator[bytes, None]) -> None:
    """Close a generator, once a thread that reads or closes its file has come back."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_READ):
            while True:
                try:
                    await blocks.aclose()
                except RuntimeError:
                    await asyncio.sleep(_MOMENT)
                else:
                    return


def unreadable(path: Path, error: OSError) -> ChangedError:
    """Return the error for a file that was there and cannot be read now."""
    return ChangedError(
        f"{path} cannot be read to push it ({error.strerror})",
        hint="do not remove files that are being pushed, then try again",
        paths=(str(path),),
    )
