"""Files on their way to being objects: under a passing name first, seen when whole.

A small one needs no passing name where the file system has files without any
(``O_TMPFILE``): half the system calls, and nothing to remove when its writer is killed.

Whoever writes one with a name holds an advisory lock on it. The kernel drops the lock
with its owner, so that the next writer can tell what a killed one left, and removes it.

A machine that loses its power may forget what was written a moment ago. A journal keeps
names and sizes in order, so that a small file is then empty or whole: an empty file is
taken as no object, and put again. Waiting for the disk would double the time of small
objects (300 of 100 KB: 90 ms, and 190 ms with ``fsync``). Large ones may be left cut
anywhere, so they are waited for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress
from typing import Final

__all__ = ["NOT_THERE", "READ", "Passing", "Renewing", "sweep"]

NOT_THERE: Final = (FileNotFoundError, NotADirectoryError)
READ: Final = os.O_RDONLY | os.O_CLOEXEC

_PASSING: Final = ".aweigh-put-"
# From this size on an object is on the disk before it has its name.
_LARGE: Final = 4 << 20
# What file systems say that have no hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# Nothing where there is no such thing, as on macOS.
_NAMELESS: Final = getattr(os, "O_TMPFILE", 0)


class Passing:
    """A file that becomes an object; its methods block, one at a time.

    Attributes:
        gone: Whether nothing of it is left under its passing name.
    """

    def __init__(self, root: str, path: str) -> None:
        self._root = root
        self._path = path
        self._lock = threading.Lock()
        self._stopped = False
        self.gone = False
        self._name = ""
        self._descriptor = -1
        self._size = 0

    def stop(self) -> None:
        """Refuse whatever comes after: the caller was cancelled, or is done."""
        self._stopped = True

    def whole(self, body: bytes) -> bool:
        """Write, and give it its name, unless that is taken."""
        if self._needless():
            self.gone = True
            return False
        made = self._nameless(body)
        if made is not None:
            self.gone = True
            return made
        try:
            self.open()
            self.write(body)
            return self.publish()
        finally:
            self.remove()

    def _needless(self) -> bool:
        return _is_whole(self._path)

    def _nameless(self, body: bytes) -> bool | None:
        """Write a file without a name and give it one; None when that did not work.

        Whatever went wrong, the way with a passing name works or says why not.
        """
        if not _NAMELESS:
            return None
        with self._lock, suppress(OSError):
            descriptor = self._made_nameless()
            try:
                left = memoryview(body)
                while left and not self._stopped:
                    left = left[os.write(descriptor, left) :]
                if self._stopped:
                    return False
                if len(body) >= _LARGE:
                    os.fsync(descriptor)
                # With a directory's descriptor, for Python follows no link without
                # one (it calls link(2), not linkat(2)); the path is absolute.
                source = f"/proc/self/fd/{descriptor}"
                os.link(source, self._path, src_dir_fd=descriptor)
            except FileExistsError:
                return False if _is_whole(self._path) else None
            finally:
                os.close(descriptor)
            return True
        return None

    def _made_nameless(self) -> int:
        folder = os.path.dirname(self._path)  # noqa: PTH120 - a hot path
        flags = os.O_WRONLY | os.O_CLOEXEC | _NAMELESS
        try:
            return os.open(folder, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - a hot path
            return os.open(folder, flags, 0o666)

    def open(self) -> None:
        """Make it, locked for as long as it is open."""
        with self._lock:
            while not self._stopped:
                self._name = f"{self._root}/{_PASSING}{os.urandom(8).hex()}"
                self._descriptor = self._made()
                # Where there are no locks, nothing can be swept either.
                with suppress(OSError):
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                if os.fstat(self._descriptor).st_nlink:
                    return
                os.close(self._descriptor)
                self._descriptor = -1

    def _made(self) -> int:
        try:
            return os.open(self._name, _WRITE, 0o666)
        except FileNotFoundError:
            os.makedirs(self._root, exist_ok=True)  # noqa: PTH103 - a hot path
            return os.open(self._name, _WRITE, 0o666)

    def write(self, piece: bytes) -> None:
        """Append some bytes."""
        left = memoryview(piece)
        self._size += len(left)
        with self._lock:
            while left and not self._stopped:
                left = left[os.write(self._descriptor, left) :]

    def publish(self) -> bool:
        """Give it its name; False when that is taken."""
        with self._lock:
            if self._stopped:
                return False
            if self._size >= _LARGE:
                os.fsync(self._descriptor)
            try:
                return self._link()
            except FileNotFoundError:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120
                return self._link()

    def _link(self) -> bool:
        """Give it its name, from one moment to the next."""
        try:
            os.link(self._name, self._path)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return True
        if _is_whole(self._path):
            return False
        os.rename(self._name, self._path)  # noqa: PTH104
        return True

    def remove(self) -> None:
        """Remove the passing name; a second call does nothing."""
        with self._lock:
            if self._descriptor >= 0:
                with suppress(OSError):
                    os.unlink(self._name)  # noqa: PTH108
                os.close(self._descriptor)
                self._descriptor = -1
            self.gone = True


class Renewing(Passing):
    """A file that becomes an object in place of the one that is there, if any."""

    def _needless(self) -> bool:
        return False

    def _nameless(self, body: bytes) -> bool | None:
        """Only a name takes the place of another."""
        del body
        return None

    def _link(self) -> bool:
        os.rename(self._name, self._path)  # noqa: PTH104
        return True


def _is_whole(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116 - a hot path
    except NOT_THERE:
        return False


def sweep(root: str) -> None:
    """Remove what killed writers left; what others write now is locked."""
    try:
        names = os.listdir(root)  # noqa: PTH208 - bytes of thousands are not needed
    except OSError:
        return
    for name in names:
        if name.startswith(_PASSING):
            with suppress(OSError):
                _remove_abandoned(f"{root}/{name}")


def _remove_abandoned(path: str) -> None:
    descriptor = os.open(path, READ | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # noqa: PTH108
    finally:
        os.close(descriptor)
