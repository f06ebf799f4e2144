"""A store in memory that counts what is asked of it and fails when told to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from aweigh.bundle.store import Held
from aweigh.errors import BundleNotFoundError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

__all__ = ["MemoryStore"]


class MemoryStore:
    """Implements `aweigh.bundle.store.Store` with a dictionary.

    Attributes:
        objects: What it holds, by name; tests may change it.
        modified: When each was put; tests may change it. What is not in it is new.
        requests: How often each method was called.
        down: While true, every request raises `StoreUnavailableError`.
        delay: Seconds each request takes.
    """

    def __init__(self, url: str = "memory://test") -> None:
        """Begin empty."""
        self._url = url
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}
        self.requests: Counter[str] = Counter()
        self.down = False
        self.delay = 0.0

    @property
    def url(self) -> str:
        """The store's URL."""
        return self._url

    async def head(self, name: str, /) -> Held | None:
        """Look at an object; None when it is not there."""
        await self._request("head")
        held = self.objects.get(name)
        if held is None:
            return None
        return Held(len(held), self.modified.get(name, time.time()))

    async def get(self, name: str, /, *, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Iterate over an object's bytes, in pieces of 64 KiB."""
        await self._request("get")
        held = self.objects.get(name)
        if held is None:
            raise BundleNotFoundError(f"{name} is not there", hint="put it first")
        for at in range(start, len(held), 1 << 16):
            yield held[at : at + (1 << 16)]

    async def put(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> bool:
        """Create an object; False when it is there already."""
        del size
        await self._request("put")
        body = await _whole(chunks)
        if name in self.objects:
            return False
        self._keep(name, body)
        return True

    async def renew(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> None:
        """Put an object whether it is there or not."""
        del size
        await self._request("renew")
        self._keep(name, await _whole(chunks))

    def _keep(self, name: str, body: bytes) -> None:
        self.objects[name] = body
        self.modified[name] = time.time()

    async def _request(self, kind: str) -> None:
        self.requests[kind] += 1
        await asyncio.sleep(self.delay)
        if self.down:
            raise StoreUnavailableError("the store is down", hint="set down to False")


async def _whole(chunks: AsyncIterator[bytes] | bytes) -> bytes:
    if isinstance(chunks, bytes):
        return chunks
    return b"".join([chunk async for chunk in chunks])
