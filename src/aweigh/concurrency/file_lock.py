"""Lets one process at a time do some work: an advisory lock on a file per key.

``flock`` and not ``lockf``: the kernel frees it when the holder dies, however it dies,
and it belongs to the open file, so that another open and close of the same file in this
process cannot drop it.

Waiting is polling. A blocking ``flock`` needs a thread for each waiting lock, which can
neither be cancelled nor joined. A poll is one system call of 2 microseconds on the
event loop's thread; takeover then takes 9 ms (a blocked thread: 3 ms), and waiters get
the lock in any order: enough for work that is long, and shared once it is done.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import threading
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from aweigh.errors import LockTimeoutError
from aweigh.events import Waited, Warned
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aweigh.events import Listener

__all__ = ["FileLock", "Holder"]

POLL_SECONDS = (0.005, 0.02)
REPORT_SECONDS = 5.0
_NOTE_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, as the holder itself wrote into the file.

    Attributes:
        pid: Its process id, in its own pid namespace.
        host: The host it runs on.
        purpose: What it is doing.
        started: When it got the lock, in seconds since the epoch.
    """

    pid: int
    host: str
    purpose: str
    started: float

    @classmethod
    def parse(cls, note: bytes) -> Holder | None:
        """Read a holder's note; None when it is empty, half-written or damaged."""
        with suppress(ValueError, RecursionError):
            match json.loads(note):
                case {
                    "pid": int(pid),
                    "host": str(host),
                    "purpose": str(purpose),
                    "started": int() | float() as started,
                }:
                    return cls(pid=pid, host=host, purpose=purpose, started=started)
                case _:
                    pass
        return None

    def to_bytes(self) -> bytes:
        """Return the note to write."""
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class FileLock:
    """The lock of one key, for all processes that use the same directory.

    A lock saves work and nothing depends on it: where it cannot be had (read-only or
    full disk, a directory of another user, a file system without locks), work goes on
    without it and a `aweigh.events.Warned` says so.

    The file is never deleted: whoever has it open would lock what nobody else sees.
    """

    def __init__(self, directory: Path, key: str, *, purpose: str) -> None:
        """Name a lock; nothing is opened yet.

        Args:
            directory: Where lock files are; made with mode 0700 when missing.
            key: What is locked. Only its digest is written.
            purpose: What the holder does, for those who wait; not a secret.
        """
        name = Digest.of(key.encode(errors="surrogateescape")).hex
        self._path = directory / f"{name}.lock"
        self._purpose = purpose

    @asynccontextmanager
    async def hold(
        self, *, listener: Listener, wait_deadline: float | None = None
    ) -> AsyncIterator[None]:
        """Hold the lock inside the block, after waiting for whoever holds it.

        Not re-entrant: a second `hold` of the same key waits, also in this process.
        While it waits, `aweigh.events.Waited` is sent at once and then every 5 s.

        Args:
            listener: Hears that we wait, or that we go on without a lock.
            wait_deadline: The moment on ``time.monotonic`` to give up waiting at;
                None to wait as long as it takes.

        Raises:
            LockTimeoutError: The deadline passed; the message names the holder.

        Cancelling, at any point, leaves the lock free.
        """
        with closing(_LockFile(self._path)) as file:
            try:
                await self._acquire(file, listener, wait_deadline)
            except OSError as error:
                listener(_unusable(self._path, error))
            yield

    async def _acquire(
        self, file: _LockFile, listener: Listener, wait_deadline: float | None
    ) -> None:
        # When this is cancelled the thread goes on, and finds the file closed.
        if await asyncio.to_thread(file.open_and_try, self._purpose):
            return
        began = time.monotonic()
        next_report = began
        while not file.try_lock(self._purpose):
            now = time.monotonic()
            if wait_deadline is not None and now >= wait_deadline:
                raise self._gave_up(file.holder(), now - began)
            if now >= next_report:
                listener(self._waited(file.holder(), now - began))
                next_report = now + REPORT_SECONDS
            # Jitter keeps waiters from polling in step.
            await asyncio.sleep(random.uniform(*POLL_SECONDS))  # noqa: S311 - no secret

    def _waited(self, holder: Holder | None, seconds: float) -> Waited:
        return Waited(
            purpose=holder.purpose if holder else self._purpose,
            holder=str(holder or "another process"),
            seconds=seconds,
        )

    def _gave_up(self, holder: Holder | None, seconds: float) -> LockTimeoutError:
        who = f"{holder} ({holder.purpose})" if holder else "another process"
        return LockTimeoutError(
            f"waited {seconds:.1f} s for {who}, which does the same work",
            hint="look whether it hangs or is stopped; when it ends, its lock is free",
            holder=str(holder or ""),
            seconds=seconds,
        )


def _unusable(path: Path, error: OSError) -> Warned:
    return Warned(
        message=f"no lock in {path.parent}: {error.strerror or error}",
        hint="two processes may now do the same work twice; make the directory "
        "writable, or choose another cache directory",
    )


class _LockFile:
    """An open lock file that closes itself in forked children.

    A forked child inherits the open file, and with it the lock, which would outlive
    the holder. Its copies are closed right after the fork. Closing a copy does not
    unlock: a ``flock`` ends with ``LOCK_UN`` or with the *last* copy of the open file.

    All methods may be called from any thread.
    """

    __slots__ = ("_closed", "_fd", "_locked", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._locked = False
        self._closed = False

    def open_and_try(self, purpose: str) -> bool:
        """Open the file, in a worker thread, and try to lock it."""
        with _guard:
            self._open()
            return self.try_lock(purpose)

    def try_lock(self, purpose: str) -> bool:
        """Lock the file if it is free, and write who we are into it.

        Raises:
            OSError: The file cannot be opened or the file system has no locks.
        """
        with _guard:
            if self._fd is None:
                return False
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if os.fstat(self._fd).st_nlink == 0:
                # Somebody cleaned the directory: others lock another file by now.
                self._drop()
                self._open()
                return False
            self._locked = True
            self._write_note(self._fd, purpose)
            return True

    def holder(self) -> Holder | None:
        """Return who holds the lock, if they wrote it down."""
        with _guard:
            note = b"" if self._fd is None else os.pread(self._fd, _NOTE_LIMIT, 0)
            return Holder.parse(note)

    def close(self) -> None:
        """Unlock and close; nothing opens this object again."""
        with _guard:
            self._closed = True
            self._drop()

    def close_copy(self) -> None:
        """Close a forked child's copy, which leaves the parent's lock alone."""
        self._closed = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> None:
        if self._closed:
            return
        directory = self._path.parent
        # mkdir gives its mode to the last directory only, and a cache directory that
        # others may write to is one that LocalDB does not trust.
        for folder in (directory.parent, directory):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            raise PermissionError("it belongs to another user")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o600)
        _opened.add(self)

    @staticmethod
    def _write_note(fd: int, purpose: str) -> None:
        holder = Holder(
            pid=os.getpid(),
            host=os.uname().nodename,
            purpose=purpose,
            started=time.time(),
        )
        # The lock counts; the note only serves a message, and a disk may be full.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, holder.to_bytes(), 0)

    def _drop(self) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        locked, self._locked = self._locked, False
        _opened.discard(self)
        if locked:
            with suppress(OSError):
                os.ftruncate(fd, 0)
        # Unlocking first frees the lock even where a program that was forked without
        # Python's knowledge still has a copy.
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


# A fork between opening a file and writing it down here would be missed: forks wait
# for this guard. It is re-entrant because a signal handler may fork.
_guard = threading.RLock()
_opened: set[_LockFile] = set()


def _close_copies() -> None:
    for file in _opened:
        file.close_copy()
    _opened.clear()
    _guard.release()


os.register_at_fork(
    before=_guard.acquire,
    after_in_parent=_guard.release,
    after_in_child=_close_copies,
)
