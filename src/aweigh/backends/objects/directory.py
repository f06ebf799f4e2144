"""A store in a directory of this machine, or of a file server.

An object is written under a passing name beside the others and then linked to its own:
it is visible when it is whole, and the link fails when the name is taken.
"""

from __future__ import annotations

import asyncio
import functools
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from aweigh.backends.objects.errors import no_answer, translate
from aweigh.backends.objects.hops import Hops
from aweigh.backends.objects.passing import (
    NOT_THERE,
    READ,
    Passing,
    Renewing,
    sweep,
)
from aweigh.bundle.store import Held
from aweigh.errors import BundleNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from aweigh.backends.objects.deadlines import Deadlines
    from aweigh.bundle.store import StoreUrl

__all__ = ["DirectoryStore"]

T = TypeVar("T")

_PIECE: Final = 1 << 20


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
        self._swept = False
        self._hops = Hops()

    @property
    def url(self) -> str:
        """The store's canonical URL; it holds no secret."""
        return str(self._url)

    async def head(self, name: str, /) -> Held | None:
        """Look at an object; None only when it is truly not there.

        Raises:
            StoreError: The directory cannot be read, or did not answer in time.
        """
        what = f"look for {name}"
        # Whoever finds everything puts nothing, and cleans up all the same.
        await self._sweep_once(what)
        return await self._do(what, lambda: self._look(name))

    def _look(self, name: str) -> Held | None:
        try:
            found = os.stat(self._path(name))  # noqa: PTH116 - a hot path
        except NOT_THERE:
            return None
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return None
        return Held(found.st_size, found.st_mtime)

    async def get(self, name: str, /, *, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Iterate over an object's bytes, in pieces of 1 MiB.

        Args:
            name: Its name below the store's URL.
            start: How many bytes to leave out; fewer than it has.

        Raises:
            BundleNotFoundError: The object is not there.
            StoreError: The directory cannot be read, or did not answer in time.
        """
        what = f"get {name}"
        offset = start
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
        except NOT_THERE:
            raise BundleNotFoundError(
                f"{self._url}/{name} is not there",
                hint="upload the bundle again, or correct the URI",
            ) from None

    def _read(self, name: str, offset: int) -> bytes:
        descriptor = os.open(self._path(name), READ)
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
        return await self._put(name, chunks, Passing(self._root, self._path(name)))

    def put_now(self, name: str, body: bytes, /) -> bool:
        """Create a small object; blocking, and without a deadline.

        Args:
            name: Its name below the store's URL.
            body: Its bytes.

        Returns:
            False when the object existed already; it is then left as it was.

        Raises:
            StoreError: The directory cannot be written.
        """
        try:
            return Passing(self._root, self._path(name)).whole(body)
        except OSError as error:
            raise translate(error, self._url, f"put {name}") from error

    async def renew(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> None:
        """Put an object whether it is there or not: its age begins anew.

        Args:
            name: Its name below the store's URL.
            chunks: Its bytes, as for `put`.
            size: Not needed here.

        Raises:
            StoreError: The directory cannot be written, or did not answer in time.

        Cancelling leaves what was there, or the new object.
        """
        del size
        await self._put(name, chunks, Renewing(self._root, self._path(name)))

    async def _put(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, passing: Passing
    ) -> bool:
        what = f"put {name}"
        await self._sweep_once(what)
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

    async def _sweep_once(self, what: str) -> None:
        if not self._swept:
            self._swept = True
            await self._do(what, lambda: sweep(self._root))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    async def _do(self, what: str, work: Callable[[], T]) -> T:
        """Work in a thread, within the deadline for one request."""
        try:
            async with asyncio.timeout(self._deadlines.transfer):
                return await self._hops.run(work)
        except TimeoutError:
            raise no_answer(self._url, what, self._deadlines.transfer) from None
        except NOT_THERE as error:
            if what.startswith("get "):
                raise
            raise translate(error, self._url, what) from error
        except OSError as error:
            raise translate(error, self._url, what) from error
