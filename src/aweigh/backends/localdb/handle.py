"""The SQLite connection as its worker thread sees it: one unit of work is one hop.

aiosqlite forwards each call to its thread by itself, so BEGIN, INSERT and COMMIT would
be three hops, and a cancellation between them would leave a transaction open that locks
out every process. `sqlite3.connect(factory=...)` is public, and so is aiosqlite's
`commit`: this subclass's `commit` runs the next unit of work from an inbox, whole.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aweigh.backends.localdb import rows
from aweigh.backends.localdb.faults import (
    AbsentError,
    Connection,
    ContendedError,
    Fault,
    MovedError,
    StrangeError,
    classify,
)
from aweigh.backends.localdb.place import is_shared
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from pathlib import Path

    from aweigh.backends.localdb.lock import SideLock
    from aweigh.backends.localdb.place import Identity, Place

__all__ = ["BUSY_TIMEOUT", "Handle", "Intent", "Job"]

T = TypeVar("T")

BUSY_TIMEOUT = 0.05
"""Seconds a statement waits for foreign locks: the thread serves readers, too."""

_LOOK_EVERY = 1.0
_CLOSE_PATIENCE = 0.1
_JOURNAL_LIMIT = 4 << 20
_serials = itertools.count()


class Intent(Enum):
    """What a database is opened for."""

    READ = auto()
    """Nothing is made: no database is an answer."""

    WRITE = auto()
    """An empty database is made if there is none."""

    MEND = auto()
    """It seemed damaged: look again inside the lock, and move it aside if it is."""


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """A unit of work on its way to the worker thread, and its result."""

    work: Callable[[Handle], T]
    value: list[T] = field(default_factory=list)


class Handle(Connection):
    """An open database; everything here happens in aiosqlite's worker thread.

    Attributes:
        place: Its files.
        lock: The lock beside it.
        identity: Which file is open.
        aside: Where a damaged predecessor was moved by this very opening.
    """

    def __init__(
        self,
        database: str,
        *,
        place: Place,
        lock: SideLock,
        inbox: deque[Job[Any]],
        intent: Intent,
        condemned: Identity | None,
        now: float,
        **options: Any,
    ) -> None:
        self.place = place
        self.lock = lock
        self.aside: Path | None = None
        self._inbox = inbox
        self._prepared = False
        self._serial = next(_serials)
        if intent is Intent.MEND:
            self._mend(now, condemned)
        if intent is not Intent.READ:
            place.create()
        self.identity: Identity = place.identity()
        super().__init__(database, **options)
        try:
            self._set_up()
        except BaseException:
            super().close()
            raise

    def commit(self) -> None:
        """Run the next unit of work; this is how a whole one reaches this thread."""
        job = self._inbox.popleft()
        job.value.append(job.work(self))

    def close(self) -> None:
        """Close inside the lock, because the last one to close checkpoints.

        When the lock is not free for a while, somebody else is at work and has the
        database open: then this close is not the last and checkpoints nothing.
        """
        deadline = time.monotonic() + _CLOSE_PATIENCE
        with suppress(OSError):
            while not self.lock.acquire() and time.monotonic() < deadline:
                time.sleep(0.005)
        try:
            super().close()
        finally:
            self.lock.release()

    def read(self, work: Callable[[Handle], T], default: T) -> T:
        """Run a reading unit of work; `default` when there is no schema yet.

        Raises:
            MovedError: The path leads elsewhere (looked at once a second).
        """
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._require_same_file()
        if not self._readable and not self._look():
            return default
        return work(self)

    def write(self, work: Callable[[Handle], T]) -> T:
        """Run a unit of work as one transaction inside the lock.

        Raises:
            ContendedError: Another process has the lock.
            MovedError: The path leads elsewhere.
        """
        with _Locked(self.lock):
            self._require_same_file()
            if not self._prepared:
                self._prepare()
            return self._transact(work)

    def shrink(self) -> None:
        """Give the space of deleted rows back to the file system."""
        with _Locked(self.lock):
            # Not `execute`: it stops after the first page.
            self.executescript("PRAGMA incremental_vacuum")
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def token(self) -> tuple[int, int]:
        """Return what changes when anybody else commits, or another file is open."""
        ((version,),) = self.execute("PRAGMA data_version").fetchall()
        return self._serial, int(version)

    def _set_up(self) -> None:
        # A flipped bit in a key must not raise: the row is no answer anyway.
        self.text_factory = lambda raw: raw.decode("utf-8", "replace")
        self._require_same_file()  # was it replaced between the look and the opening?
        self._rollback_journal = self.lock.unsupported or is_shared(
            self.place.directory
        )
        self._look()

    def _look(self) -> bool:
        minor = rows.version(self)
        ((mode,),) = self.execute("PRAGMA journal_mode").fetchall()
        # SQLite's advice: NORMAL keeps WAL consistent, rollback journals want FULL.
        self.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
        safe = not (self._rollback_journal and mode == "wal")
        self._readable = minor > 0 and safe
        self._prepared = minor >= len(rows.MIGRATIONS) and safe
        return self._readable

    def _require_same_file(self) -> None:
        try:
            same = self.place.identity() == self.identity
        except AbsentError:
            same = False
        if not same:
            raise MovedError
        self._looked = time.monotonic()

    def _prepare(self) -> None:
        """Make or upgrade the schema, inside the lock."""
        minor = rows.version(self)
        if minor == 0:
            self.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._rollback_journal |= self.lock.unsupported
        if self._rollback_journal or minor == 0:
            mode = "delete" if self._rollback_journal else "wal"
            self.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        self.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT}").fetchall()
        if minor < len(rows.MIGRATIONS):
            self._transact(_migrate)
        self._look()

    def _transact(self, work: Callable[[Handle], T]) -> T:
        self.execute("BEGIN IMMEDIATE")
        try:
            result = work(self)
            self.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # some errors have rolled back already
                self.execute("ROLLBACK")
            raise
        return result

    def _mend(self, now: float, condemned: Identity | None) -> None:
        """Move a damaged file aside; a condemned one passed this look before."""
        # Without the file or its directory there is nothing to mend.
        with suppress(AbsentError, FileNotFoundError), _Locked(self.lock):
            identity = self.place.identity()
            if identity == condemned or not _is_sound(self.place):
                self.aside = self.place.set_aside(now)


class _Locked:
    """The lock, or ContendedError."""

    def __init__(self, lock: SideLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire():
            raise ContendedError

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _migrate(handle: Handle) -> None:
    for statements in rows.MIGRATIONS[rows.version(handle) :]:
        for statement in statements:
            handle.execute(statement)
    handle.execute(f"PRAGMA application_id = {rows.APPLICATION_ID}")
    handle.execute(f"PRAGMA user_version = {len(rows.MIGRATIONS)}")


def _is_sound(place: Place) -> bool:
    """Look at a database with fresh eyes: its header, its schema and every page."""
    try:
        connection = sqlite3.connect(
            place.uri,
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT,
            factory=Connection,
        )
        try:
            if rows.version(connection) > 0:
                for table in Table:
                    rows.select(connection, table, "")
            check = connection.execute("PRAGMA integrity_check(1)").fetchall()
            return bool(check == [("ok",)])
        finally:
            connection.close()
    except StrangeError:
        return False
    except sqlite3.Error as error:
        if classify(error) is Fault.DAMAGED:
            return False
        raise
