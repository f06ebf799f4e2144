"""The lock beside the database: one process at a time writes, checkpoints and closes.

SQLite's own lock is polled with sleeps and starves waiters; a blocking ``flock`` queues
them. It also keeps two connections from committing and checkpointing at one instant,
which is what SQLite before 3.51.3 needs to lose a commit (the WAL-reset bug).

The uncontended case is one non-blocking attempt inside the worker's own hop. Only
when that fails does a thread wait in a blocking ``flock``: polling would be unfair (its
worst wait is 100 to 1,300 ms, against 40 to 70 ms). A thread in ``flock`` can't be
interrupted, so it is a daemon, there is at most one, and after its deadline it gives
the lock back as soon as it gets it, or serves whoever asks next.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SideLock"]

_UNSUPPORTED = frozenset(
    {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
)
_locks: weakref.WeakSet[SideLock] = weakref.WeakSet()


class SideLock:
    """An advisory lock between processes, and between databases of one process.

    `acquire` and `release` belong to the worker thread, `wait` to the event loop.

    Attributes:
        unsupported: Whether the file system turned out to have no such locks; then
            everybody always has it, and SQLite's own locks must do.
    """

    def __init__(self, path: Path) -> None:
        self.unsupported = False
        self._path = path
        self._mutex = threading.Lock()
        self._held: int | None = None
        self._ready: int | None = None
        self._asked: int | None = None
        self._thread: threading.Thread | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        _locks.add(self)

    def acquire(self) -> bool:
        """Take the lock if that is possible at once; say whether it is held now.

        Raises:
            OSError: The lock file cannot be made or opened.
        """
        with self._mutex:
            if self._held is None:
                self._held, self._ready = self._ready, None
        if self._held is None and not self.unsupported:
            self._held = self._open(fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self.unsupported or self._held is not None

    def release(self) -> None:
        """Give the lock back."""
        held, self._held = self._held, None
        _unlock(held)

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109  # no scope can bound a thread
        """Wait until `acquire` will succeed, for `timeout` seconds; say if it will.

        Cancelled, it leaves at most a daemon thread that gives the lock back unused.
        """
        arrival = asyncio.get_running_loop().create_future()
        with self._mutex:
            if self._ready is not None:
                return True
            self._waiters.add(arrival)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._block, name="aweigh-lock", daemon=True
                )
                self._thread.start()
        try:
            await asyncio.wait({arrival}, timeout=timeout)
        finally:
            with self._mutex:
                self._waiters.discard(arrival)
        return arrival.done()

    def abandon(self) -> None:
        """Give back a lock that was waited for and then not used."""
        with self._mutex:
            ready, self._ready = self._ready, None
        _unlock(ready)

    def _block(self) -> None:
        fd = None
        with suppress(OSError):  # whoever is waiting tries again and sees the error
            fd = self._open(fcntl.LOCK_EX)
        with self._mutex:
            self._thread = None
            if not self._waiters:
                _unlock(fd)
                return
            self._ready = fd
            for waiter in self._waiters:
                with suppress(RuntimeError):  # its event loop is closed
                    waiter.get_loop().call_soon_threadsafe(_arrive, waiter)

    def _open(self, operation: int) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            fd = os.open(self._path, flags, 0o600)
            if operation == fcntl.LOCK_EX:
                self._asked = fd
            try:
                fcntl.flock(fd, operation)
                if _leads_to(self._path, fd):
                    return fd
                _unlock(fd)  # removed by hand meanwhile: others lock another file
            except OSError as error:
                os.close(fd)
                if isinstance(error, BlockingIOError):
                    return None
                if error.errno not in _UNSUPPORTED:
                    raise
                self.unsupported = True
                return None
            finally:
                self._asked = None if operation == fcntl.LOCK_EX else self._asked

    def _forked(self) -> None:
        """In a forked child: let go of the parent's lock without unlocking it."""
        for fd in (self._held, self._ready, self._asked):
            if fd is not None:
                os.close(fd)
        self._held = self._ready = self._asked = self._thread = None
        self._mutex = threading.Lock()
        self._waiters = set()


def _leads_to(path: Path, fd: int) -> bool:
    ours = os.fstat(fd)
    try:
        theirs = path.stat()
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def _unlock(fd: int | None) -> None:
    # An explicit unlock: closing alone would leave the lock to a forked child's copy.
    if fd is not None:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _arrive(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _forget_parents_locks() -> None:
    for lock in _locks:
        lock._forked()  # noqa: SLF001  # the module's own class


os.register_at_fork(after_in_child=_forget_parents_locks)
