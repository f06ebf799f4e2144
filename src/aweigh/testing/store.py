"""A store in memory that counts what is asked of it and fails when told to."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from aweigh.errors import BundleNotFoundError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

__all__ = ["MemoryStore"]


class MemoryStore:
    """Implements `aweigh.bundle.store.Store` with a dictionary.

    Attributes:
        objects: What it holds, by name; tests may change it.
        requests: How often each method was called.
        down: While true, every request raises `StoreUnavailableError`.
        delay: Seconds each request takes.
    """

    def __init__(self, url: str = "memory://test") -> None:
        """Begin empty."""
        self._url = url
        self.objects: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.down = False
        self.delay = 0.0

    @property
    def url(self) -> str:
        """The store's URL."""
        return self._url

    async def head(self, name: str, /) -> int | None:
        """Return an object's size, or None."""
        await self._request("head")
        held = self.objects.get(name)
        return None if held is None else len(held)

    async def get(self, name: str, /) -> AsyncGenerator[bytes, None]:
        """Iterate over an object's bytes, in pieces of 64 KiB."""
        await self._request("get")
        held = self.objects.get(name)
        if held is None:
            raise BundleNotFoundError(f"{name} is not there", hint="put it first")
        for start in range(0, len(held), 1 << 16):
            yield held[start : start + (1 << 16)]

    async def put(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> bool:
        """Create an object; False when it is there already."""
        del size
        await self._request("put")
        if isinstance(chunks, bytes):
            body = chunks
        else:
            body = b"".join([chunk async for chunk in chunks])
        if name in self.objects:
            return False
        self.objects[name] = body
        return True

    async def _request(self, kind: str) -> None:
        self.requests[kind] += 1
        await asyncio.sleep(self.delay)
        if self.down:
            raise StoreUnavailableError("the store is down", hint="set down to False")
