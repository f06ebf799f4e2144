"""Does the same work once for all coroutines that want it at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

__all__ = ["SingleFlight"]

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Keys of work that is under way, and who waits for each.

    The work runs in a task of its own, so that it belongs to all who wait for it.
    Nothing is kept once it has ended: neither results nor failures.

    Belongs to one event loop. Work must not ask for its own key: it would wait for
    itself.
    """

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._flights: dict[str, _Flight[T]] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many keys have work that has not ended."""
        return sum(not flight.task.done() for flight in self._flights.values())

    def __contains__(self, key: object) -> bool:
        """Whether this key has work that has not ended."""
        flight = self._flights.get(key) if isinstance(key, str) else None
        return flight is not None and not flight.task.done()

    async def do(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the work that is under way for ``key``, or start it.

        The work sees the context variables of the caller who started it. Its error is
        raised to everyone who waits: the same exception, each time with the traceback
        of the work and no other waiter's frames.

        Cancelling one caller, the first included, stops the work only when nobody else
        waits for it; that caller then returns when the work has ended. Whoever comes
        while the work is ending starts it anew afterwards.

        Raises:
            RuntimeError: This was closed.
            asyncio.CancelledError: The caller was cancelled, or the work was by
                `aclose` or by itself.
        """
        flight = await self._join(key, work)
        flight.waiters += 1
        try:
            await asyncio.wait([flight.task])
        except asyncio.CancelledError:
            if flight.leave():
                await _outlast([flight.task])
            raise
        except BaseException:
            # The coroutine was closed (GeneratorExit): nothing may be awaited now.
            flight.leave()
            raise
        flight.waiters -= 1
        return flight.result()

    async def aclose(self) -> None:
        """Cancel all work and return when it has ended; refuse new work.

        Callers who wait get CancelledError. Cancelling does not cut the wait short.
        """
        self._closed = True
        for flight in self._flights.values():
            flight.abandon()
        if await _outlast([flight.task for flight in self._flights.values()]):
            raise asyncio.CancelledError

    async def _join(self, key: str, work: Callable[[], Awaitable[T]]) -> _Flight[T]:
        while True:
            if self._closed:
                raise RuntimeError("this SingleFlight is closed")
            flight = self._flights.get(key)
            if flight is None or flight.task.done():
                return self._start(key, work)
            if not flight.abandoned:
                return flight
            await asyncio.wait([flight.task])

    def _start(self, key: str, work: Callable[[], Awaitable[T]]) -> _Flight[T]:
        async def run() -> T:
            return await work()

        task = asyncio.create_task(run(), name=f"single flight: {key}")
        flight = self._flights[key] = _Flight(task)

        def ended(_task: asyncio.Task[T]) -> None:
            flight.keep_traceback()
            if self._flights.get(key) is flight:
                del self._flights[key]

        # First in line: it runs before any waiter sees the outcome.
        task.add_done_callback(ended)
        return flight


class _Flight(Generic[T]):
    """Work under way.

    Attributes:
        task: The work.
        waiters: How many wait for it.
        abandoned: Whether the work is being cancelled: nobody may join it.
    """

    __slots__ = ("_traceback", "abandoned", "task", "waiters")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiters = 0
        self.abandoned = False
        self._traceback: TracebackType | None = None

    def leave(self) -> bool:
        """Take a waiter off; True when it was the last and the work is cancelled."""
        self.waiters -= 1
        if self.waiters or self.task.done():
            return False
        self.abandon()
        return True

    def abandon(self) -> None:
        """Cancel the work, once: a second time would cut its clean-up short."""
        if not self.abandoned:
            self.abandoned = True
            self.task.cancel()

    def keep_traceback(self) -> None:
        """Note where the work failed; asyncio counts its error as seen from here on."""
        error = None if self.task.cancelled() else self.task.exception()
        if error is not None:
            self._traceback = error.__traceback__

    def result(self) -> T:
        """Return what the ended work returned, or raise what it raised."""
        error = None if self.task.cancelled() else self.task.exception()
        if error is None:
            return self.task.result()
        try:
            raise error.with_traceback(self._traceback)
        finally:
            del error  # the traceback holds this frame: no reference cycle


async def _outlast(tasks: list[asyncio.Task[T]]) -> bool:
    """Wait until tasks have ended, also when cancelled; True when that happened.

    asyncio's own TaskGroup leaves its block in the same way.
    """
    cancelled = False
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
