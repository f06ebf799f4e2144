"""An upload to the engine: watched for signs of life, and closed when broken off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["IdleWatch", "Upload"]


class IdleWatch:
    """A deadline that every sign of life moves on.

    Attributes:
        timeout: The context manager that keeps the deadline.
    """

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self.timeout = asyncio.timeout(idle)

    def touch(self) -> None:
        """Start to count from now."""
        if not self.timeout.expired():
            now = asyncio.get_running_loop().time()
            self.timeout.reschedule(now + self._idle)


class Upload:
    """Chunks on their way to the engine; each one is a sign of life.

    Attributes:
        chunks: What to send.
        failure: What the source raised.
    """

    def __init__(self, source: AsyncIterator[bytes], watch: IdleWatch) -> None:
        self.failure: Exception | None = None
        self.chunks = self._read(watch)
        self._source = source

    async def close(self) -> None:
        """Close the source, which nobody else does when an upload is broken off."""
        # aiohttp has cancelled the task that reads it; that takes one round.
        await asyncio.sleep(0)
        for stream in (self.chunks, self._source):
            if isinstance(stream, AsyncGenerator):
                # It runs when it is already closing itself.
                with suppress(RuntimeError):
                    await stream.aclose()

    async def _read(self, watch: IdleWatch) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._source:
                watch.touch()
                yield chunk
        except Exception as exc:
            # aiohttp would hide it behind an error of its own.
            self.failure = exc
            raise
