"""LocalDB: the memory between calls and processes, in one SQLite file."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aweigh.backends.localdb import rows
from aweigh.backends.localdb.access import Access
from aweigh.backends.localdb.handle import Handle, Intent
from aweigh.backends.localdb.known import Known
from aweigh.backends.localdb.place import Place
from aweigh.backends.localdb.writer import Change, Writer
from aweigh.errors import WrongLoopError
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aweigh.backends.localdb.rows import RowInfo
    from aweigh.events import Listener
    from aweigh.memory import Record

__all__ = ["LocalDB", "Stats"]

# What a database said: its token, the record, and the row that is none.
_Found: TypeAlias = "tuple[tuple[int, int], Record | None, tuple[object, ...] | None]"

_TRUST_FOR = 1.0
_PRUNE_STEP = 200
_FOREVER = float("inf")

_inherited: list[object] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a LocalDB has done so far.

    Attributes:
        recalls: Questions asked.
        hits: Questions answered.
        known: Hits that cost no trip to the database.
        damaged: Rows that were not what had been written.
        written: Records committed.
        lost: Records that could not be committed.
        pruned: Expired rows deleted.
        transactions: Write transactions committed.
    """

    recalls: int = 0
    hits: int = 0
    known: int = 0
    damaged: int = 0
    written: int = 0
    lost: int = 0
    pruned: int = 0
    transactions: int = 0


class LocalDB:
    """A `Memory` on disk, for one event loop; made by `open_localdb`.

    No fault of the disk or the database is raised: it is a miss, and one `Warned` says
    why. After closing, it is a memory that keeps nothing. In a forked child it starts
    over with a connection of its own. In another event loop it raises `WrongLoopError`.
    """

    def __init__(
        self,
        path: Path,
        *,
        listener: Listener,
        clock: Callable[[], float],
        prune_probability: float,
        lock_deadline: float,
        random: Callable[[], float],
    ) -> None:
        self._place = Place(path)
        self._listener = listener
        self._clock = clock
        self._prune_probability = prune_probability
        self._lock_deadline = lock_deadline
        self._random = random
        self._closed = False
        self._start()

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return the intact, unexpired record of this key, or None.

        What other processes forget is no longer recalled a second later.

        Raises:
            WrongLoopError: This belongs to another event loop.
        """
        if not self._is_open():
            return None
        self._tally["recalls"] += 1
        self._prune_by_chance()
        if (table, key) in self._writer.owed:
            return None
        record = self._known.get(table, key) if self._is_current() else None
        if record is not None:
            self._tally["known"] += 1
        else:
            record = await self._look_up(table, key)
        if record is None or not rows.is_answer(record, self._clock()):
            return None
        self._tally["hits"] += 1
        return record

    async def remember(self, records: Sequence[Record], /) -> None:
        """Keep all of these in one transaction, replacing older ones.

        They are on disk when this returns. Cancelled, they are written all the same.
        Records with times that are no numbers or values over 64 MiB are not kept.

        Raises:
            WrongLoopError: This belongs to another event loop.
        """
        kept = tuple(record for record in records if rows.is_storable(record))
        if not self._is_open() or not kept:
            return

        def settle(written: bool) -> None:  # noqa: FBT001  # see Change.settle
            self._tally["written" if written else "lost"] += len(kept)
            for record in kept:
                self._known.put(record)

        await self._writer.submit(
            Change(
                apply=lambda handle: rows.insert(handle, kept),
                settle=settle,
                intent=Intent.WRITE,
                weight=len(kept),
            )
        )

    async def forget(self, table: Table, keys: Sequence[str], /) -> None:
        """Drop these records; unknown keys are fine.

        From now on they are not recalled here, even when the database is locked; then
        the rows are deleted with the next write. Cancelled, they are dropped all the
        same.

        Raises:
            WrongLoopError: This belongs to another event loop.
        """
        if not self._is_open() or not keys:
            return
        gone = tuple(keys)
        self._known.drop(table, gone)
        await self._writer.submit(
            Change(
                apply=lambda handle: rows.delete(handle, table, gone),
                settle=lambda _: self._known.drop(table, gone),
                weight=len(gone),
                forgets=frozenset((table, key) for key in gone),
            )
        )

    async def rows(self, table: Table) -> list[RowInfo]:
        """List the rows of a table, expired ones too, oldest first."""
        if not self._is_open():
            return []

        def listing(handle: Handle) -> list[RowInfo]:
            return rows.listing(handle, table)

        nothing: list[RowInfo] = []
        found = await self._access.run(
            lambda handle: handle.read(listing, nothing),
            intent=Intent.READ,
            patience=self._lock_deadline,
        )
        return found or nothing

    async def size(self) -> int:
        """Bytes on disk, journals included; 0 when there is no database."""
        return await asyncio.to_thread(self._place.size)

    async def prune(self) -> int:
        """Delete every expired row, 200 at a time; return how many there were."""
        return await self._delete(tuple(Table), self._clock())

    async def clear(self, tables: Sequence[Table] | None = None) -> int:
        """Delete every row of these tables, or of all; return how many there were."""
        return await self._delete(tuple(Table) if tables is None else tables, _FOREVER)

    @property
    def stats(self) -> Stats:
        """What has been done so far."""
        return Stats(**self._tally, transactions=self._writer.transactions)

    def hurry(self) -> None:
        """Let closing wait for other processes only briefly: somebody is leaving."""
        if self._is_open():
            self._writer.hurry()

    async def close(self) -> None:
        """Commit what is queued and end the thread; safe to call twice."""
        if self._is_open():
            self._closed = True
            await self._writer.close()
            await self._access.close()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._access = Access(self._place, listener=self._listener, clock=self._clock)
        self._writer = Writer(self._access, lock_deadline=self._lock_deadline)
        self._known = Known()
        self._tally: Counter[str] = Counter()
        self._token: tuple[int, int] | None = None
        self._looked_at = float("-inf")
        self._pruning = False

    def _is_open(self) -> bool:
        if self._pid != os.getpid():
            # What the parent opened is neither used nor closed here: SQLite forbids it.
            _inherited.append((self._access, self._writer))
            self._start()
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError(
                "this LocalDB belongs to another event loop",
                hint="open one session per event loop",
            )
        return not self._closed

    def _is_current(self) -> bool:
        age = self._loop.time() - self._looked_at
        return self._access.broken or age < _TRUST_FOR

    async def _look_up(self, table: Table, key: str) -> Record | None:
        def look(handle: Handle) -> _Found:
            # Here and not in the loop: a value may be large, and its digest is taken.
            row = rows.select(handle, table, key)
            record = None if row is None else rows.decode(table, key, row)
            return handle.token(), record, None if record is not None else row

        found = await self._access.run(
            lambda handle: handle.read(look, None),
            intent=Intent.READ,
            patience=self._lock_deadline,
        )
        if found is None:
            return None
        token, record, damaged = found
        if token != self._token:
            self._token = token
            self._known.clear()
        self._looked_at = self._loop.time()
        if record is not None:
            self._known.put(record)
        elif damaged is not None:
            self._tally["damaged"] += 1
            self._writer.put(
                Change(apply=lambda handle: rows.delete_row(handle, table, damaged))
            )
        return record

    def _prune_by_chance(self) -> None:
        if self._pruning or self._random() >= self._prune_probability:
            return
        self._pruning = True
        change = self._expiry(tuple(Table), self._clock())
        change.optional = True
        change.settle = self._pruned
        self._writer.put(change)

    def _pruned(self, _written: bool) -> None:  # noqa: FBT001  # see Change.settle
        self._pruning = False

    def _expiry(self, tables: Sequence[Table], now: float) -> Change:
        def expire(handle: Handle) -> int:
            return rows.expire(handle, tables, now, _PRUNE_STEP)

        return Change(apply=expire)

    async def _delete(self, tables: Sequence[Table], before: float) -> int:
        total = 0
        while self._is_open():
            count = await self._writer.submit(self._expiry(tables, before))
            total += count or 0
            if not count:
                break
        self._known.clear()
        self._tally["pruned"] += total
        if total:
            await self._access.run(
                Handle.shrink, intent=Intent.READ, patience=self._lock_deadline
            )
        return total
