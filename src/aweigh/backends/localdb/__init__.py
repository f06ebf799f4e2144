"""What is remembered on disk: one SQLite file, which may be damaged or locked.

`open_localdb` gives a `LocalDB`, which implements `aweigh.memory.Memory`. A fault of
the database is a miss and a warning, never an error and never a wrong answer.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aweigh.backends.localdb.access import uninterrupted
from aweigh.backends.localdb.database import LocalDB, Stats
from aweigh.backends.localdb.rows import RowInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from aweigh.events import Listener

__all__ = ["LocalDB", "RowInfo", "Stats", "open_localdb"]


def _chance() -> float:
    """Return a number from [0, 1), without a generator that has to be imported."""
    return int.from_bytes(os.urandom(6), "little") / 2**48


@asynccontextmanager
async def open_localdb(
    path: Path,
    *,
    listener: Listener,
    clock: Callable[[], float] = time.time,
    prune_probability: float = 0.05,
    lock_deadline: float = 2.0,
    random: Callable[[], float] = _chance,
) -> AsyncIterator[LocalDB]:
    """Provide the memory that is kept in a directory.

    Nothing is touched before the first use, nothing is made before the first write.
    On exit, also when cancelled, what is queued is committed and the thread is ended.

    Args:
        path: The directory; made with mode 0700 when something is to be written.
        listener: Hears a `Warned`, at most one per kind of fault.
        clock: Seconds since the epoch.
        prune_probability: How likely a recall is to start a pruning step.
        lock_deadline: Seconds a write waits for other processes, and closing for both.
        random: A number from [0, 1).
    """
    database = LocalDB(
        path,
        listener=listener,
        clock=clock,
        prune_probability=prune_probability,
        lock_deadline=lock_deadline,
        random=random,
    )
    try:
        yield database
    except asyncio.CancelledError:
        database.hurry()
        raise
    finally:
        await uninterrupted(database.close())
