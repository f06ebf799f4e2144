"""The one who writes: changes queue here and go out together, each of them whole.

Committing what is queued together is 15 times cheaper than a transaction each. Callers
wait for a future, not for the transaction, so their cancellation stops nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh.backends.localdb import rows
from aweigh.backends.localdb.handle import Handle, Intent

if TYPE_CHECKING:
    from collections.abc import Callable

    from aweigh.backends.localdb.access import Access
    from aweigh.memory import Table

__all__ = ["Change", "Writer"]

_BATCH = 256
_HURRY = 0.4


def _nothing(_written: bool, /) -> None:  # noqa: FBT001  # a callback's only argument
    """Take no note of the outcome."""


@dataclass(slots=True, kw_only=True, eq=False)
class Change:
    """Something to do in a write transaction.

    Attributes:
        apply: Does it and returns how many rows it wrote or deleted.
        settle: Told in order, right after the transaction, whether it was committed.
        intent: WRITE makes a database if there is none.
        weight: How many rows it is about, for the size of transactions.
        forgets: What must not be believed any more even if the transaction fails.
        optional: Skipped when the lock is not free at once; has its own transaction.
        done: Its number of rows, or None when it was not committed.
    """

    apply: Callable[[Handle], int]
    settle: Callable[[bool], None] = _nothing
    intent: Intent = Intent.READ
    weight: int = 1
    forgets: frozenset[tuple[Table, str]] = frozenset()
    optional: bool = False
    done: asyncio.Future[int | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Writer:
    """Commits changes in the order in which they came.

    Attributes:
        owed: Forgotten rows that could not be deleted yet: they are no answers, and the
            next transaction deletes them first.
        transactions: How many were committed.
    """

    def __init__(self, access: Access, *, lock_deadline: float) -> None:
        self.owed: set[tuple[Table, str]] = set()
        self.transactions = 0
        self._access = access
        self._lock_deadline = lock_deadline
        self._pending: deque[Change] = deque()
        self._task: asyncio.Task[None] | None = None
        self._hurry_until: float | None = None

    def put(self, change: Change) -> None:
        """Queue a change; it will be written whatever happens to the caller."""
        self._pending.append(change)
        self._wake()

    async def submit(self, change: Change) -> int | None:
        """Queue a change and wait for it; None when it was not committed.

        Cancelled, the change is written all the same.
        """
        self.put(change)
        return await asyncio.shield(change.done)

    def hurry(self) -> None:
        """Wait no longer than a fraction of a second for anybody from now on."""
        if self._hurry_until is None:
            self._hurry_until = asyncio.get_running_loop().time() + _HURRY

    async def close(self) -> None:
        """Write what is queued, for at most the lock's deadline."""
        if self.owed:
            self.put(Change(apply=lambda _: 0))
        if self._pending:
            self._wake()  # a task that was cancelled before its first step does nothing
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=self._patience())
            if late:
                self._task.cancel()
                await asyncio.wait(late)

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        try:
            while self._pending:
                batch = self._next_batch()
                try:
                    await self._commit(batch)
                except asyncio.CancelledError as error:
                    # The loop is ending: write the rest quickly. Writing a batch twice
                    # changes nothing, losing one would.
                    cancelled = error
                    self.hurry()
                    continue
                for change in batch:
                    self._pending.remove(change)
        finally:
            self._access.abandon()
            while self._pending:
                self._pending.popleft().done.cancel()
        if cancelled is not None:
            raise cancelled

    def _next_batch(self) -> list[Change]:
        batch, weight = [self._pending[0]], self._pending[0].weight
        for change in list(self._pending)[1:]:
            weight += change.weight
            if weight > _BATCH or batch[0].optional or change.optional:
                break
            batch.append(change)
        return batch

    async def _commit(self, batch: list[Change]) -> None:
        owed = frozenset(self.owed)

        def transaction(handle: Handle) -> list[int]:
            for table, key in owed:
                rows.delete(handle, table, (key,))
            return [change.apply(handle) for change in batch]

        intents = {change.intent for change in batch}
        counts = await self._access.run(
            lambda handle: handle.write(transaction),
            intent=Intent.WRITE if Intent.WRITE in intents else Intent.READ,
            patience=0.0 if batch[0].optional else self._patience(),
        )
        if counts is None:
            self._settle(batch, [None] * len(batch))
        else:
            self.owed -= owed
            self.transactions += 1
            self._settle(batch, counts)

    def _settle(self, batch: list[Change], counts: list[int] | list[None]) -> None:
        for change, count in zip(batch, counts, strict=True):
            if count is None and not self._access.broken:
                self.owed |= change.forgets
            change.settle(count is not None)
            if not change.done.done():
                change.done.set_result(count)

    def _patience(self) -> float:
        if self._hurry_until is None:
            return self._lock_deadline
        left = self._hurry_until - asyncio.get_running_loop().time()
        return max(0.0, min(self._lock_deadline, left))
