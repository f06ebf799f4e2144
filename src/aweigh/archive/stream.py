"""Blocking byte streams for coroutines: each piece is made in a worker thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

__all__ = ["in_thread"]


class _Source:
    """An iterator that two threads may not enter at once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._lock = threading.Lock()

    def pull(self) -> bytes | None:
        with self._lock:
            return next(self._chunks, None)

    def close(self) -> None:
        """Close the iterator once the piece that is being made is done."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            with self._lock:
                close()


async def in_thread(chunks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Iterate a blocking iterator without blocking the event loop.

    Pieces come one at a time, made only when asked for. When the consumer stops,
    fails or is cancelled, the iterator is closed in a worker thread, after the piece
    that is being made, so that its files are closed too; a second cancellation stops
    the waiting, not the closing.

    Raises:
        Whatever the iterator raises.
    """
    source = _Source(chunks)
    try:
        while (chunk := await asyncio.to_thread(source.pull)) is not None:
            yield chunk
    finally:
        await asyncio.shield(asyncio.to_thread(source.close))
