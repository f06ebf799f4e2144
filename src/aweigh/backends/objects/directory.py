"""A store in a directory of this machine, or of a file server.

An object is written under a passing name beside the others and then linked to its own:
it is visible when it is whole, and the link fails when the name is taken. Whoever
writes holds an advisory lock on what it writes. The kernel drops the lock with its
owner, so that the next writer can tell what a killed one left, and removes it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import functools
import os
import secrets
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from aweigh.backends.objects.errors import no_answer, translate
from aweigh.errors import BundleNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from aweigh.backends.objects.deadlines import Deadlines
    from aweigh.bundle.store import StoreUrl

__all__ = ["DirectoryStore"]

T = TypeVar("T")

_PIECE: Final = 1 << 20
_PASSING: Final = ".aweigh-put-"
_NOT_THERE: Final = (FileNotFoundError, NotADirectoryError)
# What file systems say that have no hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class DirectoryStore:
    """A `aweigh.bundle.store.Store` in a directory, made when something is put.

    Its mode, and that of everything in it, is what the umask leaves: whether others
    may read a store is decided by whoever makes it.
    """

    def __init__(self, url: StoreUrl, *, deadlines: Deadlines) -> None:
        """Name the directory; nothing is opened yet."""
        self._url = url
        self._root = url.location
        self._deadlines = deadlines
        self._swept = threading.Lock()

    @property
    def url(self) -> str:
        """The store's canonical URL; it holds no secret."""
        return str(self._url)

    async def head(self, name: str, /) -> int | None:
        """Return an object's size in bytes; None only when it is truly not there.

        Raises:
            StoreError: The directory cannot be read, or did not answer in time.
        """
        return await self._do(f"look for {name}", lambda: self._size(name))

    def _size(self, name: str) -> int | None:
        try:
            found = os.stat(self._path(name))  # noqa: PTH116 - a hot path
        except _NOT_THERE:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    async def get(self, name: str, /) -> AsyncGenerator[bytes, None]:
        """Iterate over an object's bytes, in pieces of 1 MiB.

        Raises:
            BundleNotFoundError: The object is not there.
            StoreError: The directory cannot be read, or did not answer in time.
        """
        what = f"get {name}"
        offset = 0
        try:
            while True:
                piece = await self._do(
                    what, functools.partial(self._read, name, offset)
                )
                if piece:
                    yield piece
                offset += len(piece)
                if len(piece) < _PIECE:
                    return
        except _NOT_THERE:
            raise BundleNotFoundError(
                f"{self._url}/{name} is not there",
                hint="upload the bundle again, or correct the URI",
            ) from None

    def _read(self, name: str, offset: int) -> bytes:
        descriptor = os.open(self._path(name), _READ)
        try:
            # Objects never change, so each piece may be of a file opened anew.
            return os.pread(descriptor, _PIECE, offset)
        finally:
            os.close(descriptor)

    async def put(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> bool:
        """Create an object, which is visible to nobody until it is whole.

        Args:
            name: Its name below the store's URL.
            chunks: Its bytes. An error of the iterator is passed on, and nothing is
                left behind.
            size: Not needed here.

        Returns:
            False when the object existed already; it is then left as it was.

        Raises:
            StoreError: The directory cannot be written, or did not answer in time.

        Cancelling leaves nothing.
        """
        del size
        what = f"put {name}"
        passing = _Passing(self._root, self._path(name))
        if self._swept.acquire(blocking=False):
            await self._do(what, lambda: _sweep(self._root))
        try:
            if isinstance(chunks, bytes):
                return await self._do(what, lambda: passing.whole(chunks))
            await self._do(what, passing.open)
            async for chunk in chunks:
                await self._do(what, functools.partial(passing.write, chunk))
            return await self._do(what, passing.publish)
        finally:
            passing.stop()
            if not passing.gone:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._deadlines.abort):
                        await asyncio.shield(asyncio.to_thread(passing.remove))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    async def _do(self, what: str, work: Callable[[], T]) -> T:
        """Work in a thread, within the deadline for one request."""
        try:
            async with asyncio.timeout(self._deadlines.transfer):
                return await asyncio.to_thread(work)
        except TimeoutError:
            raise no_answer(self._url, what, self._deadlines.transfer) from None
        except _NOT_THERE as error:
            if what.startswith("get "):
                raise
            raise translate(error, self._url, what) from error
        except OSError as error:
            raise translate(error, self._url, what) from error


class _Passing:
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

    def stop(self) -> None:
        """Refuse whatever comes after: the caller was cancelled, or is done."""
        self._stopped = True

    def whole(self, body: bytes) -> bool:
        """Write, and give it its name, unless that is taken."""
        if os.path.exists(self._path):  # noqa: PTH110 - a hot path
            self.gone = True
            return False
        try:
            self.open()
            self.write(body)
            return self.publish()
        finally:
            self.remove()

    def open(self) -> None:
        """Make it, locked for as long as it is open."""
        os.makedirs(self._root, exist_ok=True)  # noqa: PTH103 - a hot path
        with self._lock:
            while not self._stopped:
                self._name = f"{self._root}/{_PASSING}{secrets.token_hex(8)}"
                self._descriptor = os.open(self._name, _WRITE, 0o666)
                # Where there are no locks, nothing can be swept either.
                with suppress(OSError):
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                if os.fstat(self._descriptor).st_nlink:
                    return
                os.close(self._descriptor)
                self._descriptor = -1

    def write(self, piece: bytes) -> None:
        """Append some bytes."""
        left = memoryview(piece)
        with self._lock:
            while left and not self._stopped:
                left = left[os.write(self._descriptor, left) :]

    def publish(self) -> bool:
        """Give it its name; False when that is taken."""
        with self._lock:
            if self._stopped:
                return False
            try:
                return self._link()
            except FileNotFoundError:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120
                return self._link()

    def _link(self) -> bool:
        try:
            os.link(self._name, self._path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.exists(self._path):  # noqa: PTH110
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


def _sweep(root: str) -> None:
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
    descriptor = os.open(path, _READ | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # noqa: PTH108
    finally:
        os.close(descriptor)
