"""Runs units of work in the database, whatever state that is in.

Opens it when it is first needed, waits while others have it, opens it again when it was
replaced, moves it aside when it is damaged, and does without it when it cannot be used.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar

from aweigh.backends.localdb.faults import (
    AbsentError,
    ClosedError,
    ContendedError,
    Fault,
    MovedError,
    UnusableError,
    classify,
)
from aweigh.backends.localdb.handle import Handle, Intent
from aweigh.backends.localdb.lock import SideLock
from aweigh.backends.localdb.worker import Worker
from aweigh.events import Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aweigh.backends.localdb.place import Identity, Place
    from aweigh.events import Listener

__all__ = ["Access", "uninterrupted"]

T = TypeVar("T")

# Many recalls at once need not all look for the file; but whoever has waited for
# another process must see what that one has just made.
_ABSENT_FOR = 0.05
_BUSY_PAUSE = 0.01
_NO_CACHE_HINT = "everything works without it, only slower; see `aweigh doctor`"


class Access:
    """The way to one database, for one event loop of one process.

    Attributes:
        broken: Whether the database is given up for the rest of the process.
    """

    def __init__(
        self, place: Place, *, listener: Listener, clock: Callable[[], float]
    ) -> None:
        self.broken = False
        self._place = place
        self._listener = listener
        self._clock = clock
        self._lock = SideLock(place.lock)
        self._current: Worker | None = None
        self._opening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._absent_until = float("-inf")
        self._mending = False
        self._condemned: Identity | None = None
        self._passed: Identity | None = None
        self._moved = False

    async def run(
        self, work: Callable[[Handle], T], *, intent: Intent, patience: float
    ) -> T | None:
        """Run a unit of work; None when that is not possible within `patience` seconds.

        Cancelled, the work happens as a whole or not at all.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while not self.broken:
            worker: Worker | None = None
            try:
                worker = await self._worker(intent)
                return await worker.run(work)
            except ContendedError:
                left = deadline - loop.time()
                if left <= 0 or not await self._lock.wait(left):
                    return None
                continue
            except AbsentError:
                if intent is Intent.READ:
                    self._absent_until = loop.time() + _ABSENT_FOR
                    return None
                await asyncio.sleep(_BUSY_PAUSE)  # removed right after it was made
            except (MovedError, FileNotFoundError):
                await self._drop(worker)
                await asyncio.sleep(0 if worker else _BUSY_PAUSE)
            except (sqlite3.Error, UnusableError, OSError, ClosedError) as error:
                await self._face(error, worker)
            if loop.time() >= deadline:
                break
        return None

    def abandon(self) -> None:
        """Give back a lock that was waited for and then not used."""
        self._lock.abandon()

    async def close(self) -> None:
        """Close the database and end its thread."""
        self.broken = True
        if self._opening is not None:
            await asyncio.wait({self._opening})
        await self._drop(self._current)
        if self._closing is not None:
            await asyncio.wait({self._closing})
        self.abandon()

    async def _worker(self, intent: Intent) -> Worker:
        while self._current is None:
            if self.broken:
                raise ClosedError
            if intent is Intent.READ and self._absent():
                raise AbsentError
            if self._opening is None or self._opening.done():
                self._opening = _task(self._open(intent))
            await asyncio.shield(self._opening)
        return self._current

    def _absent(self) -> bool:
        return asyncio.get_running_loop().time() < self._absent_until

    async def _open(self, intent: Intent) -> None:
        if self._closing is not None:
            await asyncio.wait({self._closing})
        try:
            worker = await self._open_as(Intent.MEND if self._mending else intent)
        except sqlite3.Error as error:
            if self._mending or classify(error) is not Fault.DAMAGED:
                raise
            self._mending = True
            worker = await self._open_as(Intent.MEND)
        if self._mending:
            self._note_mended(worker)
        self._current = worker

    async def _open_as(self, intent: Intent) -> Worker:
        return await Worker.open(
            self._place,
            self._lock,
            intent=intent,
            condemned=self._condemned,
            now=self._clock(),
        )

    def _note_mended(self, worker: Worker) -> None:
        self._mending, self._condemned = False, None
        if worker.aside is None:
            self._passed = worker.identity
            return
        self._moved = True
        self._listener(
            Warned(
                message=f"the cache was damaged; it is now {worker.aside}",
                hint="a fresh one was started; delete the old one when you like",
            )
        )

    async def _face(
        self,
        error: sqlite3.Error | UnusableError | OSError | ClosedError,
        worker: Worker | None,
    ) -> None:
        match error:
            case sqlite3.Error():
                await self._face_sqlite(error, worker)
            case UnusableError():
                self._give_up(str(error), hint=error.hint)
            case OSError():
                self._give_up(str(error), hint=_NO_CACHE_HINT)
            case ClosedError():
                self.broken = True

    async def _face_sqlite(self, error: sqlite3.Error, worker: Worker | None) -> None:
        match classify(error):
            case Fault.BUSY:
                await asyncio.sleep(_BUSY_PAUSE)
            case Fault.DAMAGED if worker is not None and worker is not self._current:
                await self._drop(None)  # another caller met the same damage first
            case Fault.DAMAGED if worker is not None and not self._moved:
                self._mending = True
                if worker.identity == self._passed:
                    self._condemned = worker.identity
                await self._drop(worker)
            case Fault.DAMAGED | Fault.BROKEN:
                self._give_up(f"{self._place.database}: {error}", hint=_NO_CACHE_HINT)

    def _give_up(self, reason: str, *, hint: str) -> None:
        if self.broken:
            return
        self.broken = True
        self._listener(Warned(message=f"no cache: {reason}", hint=hint))
        self._retire(self._current)

    async def _drop(self, worker: Worker | None) -> None:
        self._retire(worker)
        if self._closing is not None:
            await asyncio.wait({self._closing})

    def _retire(self, worker: Worker | None) -> None:
        # In a task of its own, so that no cancellation leaves a thread behind.
        if worker is not None and worker is self._current:
            self._current = None
            self._closing = _task(worker.close())


async def uninterrupted(coroutine: Coroutine[Any, Any, None]) -> None:
    """Await to the end, then learn of a cancellation that came meanwhile."""
    task = _task(coroutine)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _task(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(coroutine)
    # Whoever waits for it may be cancelled; its exception then needs no reader.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
