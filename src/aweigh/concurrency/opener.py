"""Opening a resource when it is first needed, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager, AsyncExitStack

__all__ = ["Opener"]

T = TypeVar("T")


class Opener(Generic[T]):
    """Opens a resource at the first call and returns the same one from then on.

    A backend's import takes up to a quarter of a second, so it happens in a thread.
    """

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[T]],
        stack: AsyncExitStack,
    ) -> None:
        self._opening = opening
        self._stack = stack
        self._lock = asyncio.Lock()
        self._opened: list[T] = []

    async def __call__(self) -> T:
        """Return the resource; cancelling while it opens leaves it closed."""
        async with self._lock:
            if not self._opened:
                context = await asyncio.to_thread(self._opening)
                self._opened.append(await self._stack.enter_async_context(context))
        return self._opened[0]
