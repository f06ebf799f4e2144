"""One aiosqlite connection, used a whole unit of work at a time, that always ends.

An aiosqlite connection that is still open when the main thread returns makes the
interpreter wait for its thread for ever, and `atexit` runs only after that wait. A
daemon thread that joins the main thread wakes up just before it, closes what is open,
and lets the interpreter go (`threading.main_thread` and `Connection.stop` are public).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

from aweigh.backends.localdb.faults import ClosedError
from aweigh.backends.localdb.handle import BUSY_TIMEOUT, Handle, Intent, Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aweigh.backends.localdb.lock import SideLock
    from aweigh.backends.localdb.place import Identity, Place

__all__ = ["Worker"]

T = TypeVar("T")

_BLINK = 0.0005


class Worker:
    """An open database and the thread it lives in.

    Attributes:
        identity: Which file is open.
        aside: Where a damaged predecessor was moved when this one was opened.
    """

    identity: Identity
    aside: Path | None

    def __init__(
        self, connection: aiosqlite.Connection, inbox: deque[Job[Any]]
    ) -> None:
        self._connection = connection
        self._inbox = inbox

    @classmethod
    async def open(
        cls,
        place: Place,
        lock: SideLock,
        *,
        intent: Intent,
        condemned: Identity | None,
        now: float,
    ) -> Worker:
        """Open the database in a thread of its own.

        Cancelled or failed, it leaves no thread behind.

        Raises:
            AbsentError: There is none, and the intent is to read.
            UnusableError: The place is not to be trusted.
            ContendedError: Another process has the lock that mending needs.
            MovedError: It was replaced in the middle of opening.
            sqlite3.Error: SQLite cannot open it.
            OSError: The file system does not allow it.
        """
        inbox: deque[Job[Any]] = deque()
        threads: list[threading.Thread] = []

        def connect(*arguments: Any, **options: Any) -> Handle:
            threads.append(threading.current_thread())
            return Handle(
                *arguments,
                place=place,
                lock=lock,
                inbox=inbox,
                intent=intent,
                condemned=condemned,
                now=now,
                **options,
            )

        connection = aiosqlite.connect(
            place.uri,
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT,
            factory=connect,
        )
        try:
            await connection
        except RuntimeError:  # no thread can be started any more
            raise ClosedError from None
        except BaseException:
            # aiosqlite has told its thread to stop, but does not wait for it; the loop
            # must outlive the thread's last report.
            await _ended(threads)
            raise
        _guard.add(connection)
        worker = cls(connection, inbox)
        worker.identity, worker.aside = await worker.run(
            lambda handle: (handle.identity, handle.aside)
        )
        return worker

    async def run(self, work: Callable[[Handle], T]) -> T:
        """Run a unit of work in the thread.

        It is never interrupted: a cancelled caller learns of its cancellation when the
        work has ended, so no result is ever sent to a loop that is closed meanwhile.

        Raises:
            ClosedError: The interpreter is shutting down.
        """
        job = Job(work)
        self._inbox.append(job)
        try:
            await self._connection.commit()
        except asyncio.CancelledError:
            await self._settle()
            raise
        except ValueError:
            if job not in self._inbox:
                raise
            self._inbox.remove(job)
            raise ClosedError from None
        return job.value[0]

    async def close(self) -> None:
        """Close the database and end its thread; both happen even when cancelled."""
        with suppress(sqlite3.Error, ValueError):
            await self._connection.close()
        _guard.discard(self._connection)

    async def _settle(self) -> None:
        """Wait until everything before this has run, however often we are cancelled."""
        while True:
            try:
                with suppress(ValueError):
                    await (
                        self._connection.rollback()
                    )  # nothing to roll back: a bare hop
            except asyncio.CancelledError:
                continue
            return


async def _ended(threads: list[threading.Thread]) -> None:
    while not threads or threads[0].is_alive():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(_BLINK)


class _Guard:
    """Closes at the end of the main thread what is still open then."""

    def __init__(self) -> None:
        self._open: set[aiosqlite.Connection] = set()
        self._thread: threading.Thread | None = None
        self._inherited: list[object] = []

    def add(self, connection: aiosqlite.Connection) -> None:
        self._open.add(connection)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._watch, args=(self._open,), name="aweigh-exit", daemon=True
            )
            self._thread.start()

    def discard(self, connection: aiosqlite.Connection) -> None:
        self._open.discard(connection)

    def forked(self) -> None:
        """In a forked child: keep the parent's connections, unused and unclosed."""
        self._inherited.append(self._open)
        self._open = set()
        self._thread = None

    @staticmethod
    def _watch(connections: set[aiosqlite.Connection]) -> None:
        threading.main_thread().join()
        for connection in tuple(connections):
            connection.stop()


_guard = _Guard()
os.register_at_fork(after_in_child=_guard.forked)
