"""Compresses packs of a tree while the rest of it is still being read.

Reading keeps one processor busy, and most of compressing needs no interpreter: done
side by side they take as long as the longer one. What comes out may turn out to be
needless, or another pack than the tree has at last; then it is not used.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.bundle.listing import encode_rows
from aweigh.bundle.manifest import cut
from aweigh.errors import AweighError
from aweigh.oci.digest import Digest
from aweigh.tree.rows import EXECUTABLE, PLAIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from concurrent.futures import Future

    from aweigh.bundle.freight import Deliver
    from aweigh.bundle.manifest import Pack
    from aweigh.bundle.store import Store
    from aweigh.tree.digests import Numbers
    from aweigh.tree.kept import Kept
    from aweigh.tree.rows import Rows

    _Make = Callable[[bytes, list[bytes]], bytes]

__all__ = ["Ahead"]

# A tree of fewer packs is not worth a question.
_WORTH: Final = 12
# Packs that wait for the answer; what comes after them is packed later.
_WAITING: Final = 256
_FILES: Final = frozenset({PLAIN, EXECUTABLE})


@dataclass(frozen=True, slots=True)
class _Made:
    """A pack that is compressed, or being so, and the files that went in."""

    body: Future[bytes]
    seen: list[tuple[bytes, Numbers]]


class Ahead:
    """Packs of one tree that are made while it is scanned.

    It holds no more than the scan kept for it: a pack takes the place of its contents.
    """

    def __init__(self) -> None:
        """Begin with nothing; belongs to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._name: asyncio.Future[str] = self._loop.create_future()
        # Asked for while the scan goes on; None as long as nobody knows.
        self._wanted: bool | None = None
        self._deliver: Deliver | None = None
        self._made: dict[Digest, _Made] = {}

    @asynccontextmanager
    async def asking(
        self,
        opened: Callable[[], Awaitable[Store]],
        delivers: Callable[[], Awaitable[Deliver]],
    ) -> AsyncIterator[None]:
        """Find out meanwhile whether the store has a pack from the tree's beginning.

        If so it will have most of them, and none is made ahead. A store that does not
        answer is asked again by whoever puts something.

        Args:
            opened: Opens the store, or returns the open one.
            delivers: Returns what makes packs.
        """
        task = asyncio.create_task(self._ask(opened, delivers))
        try:
            yield
        finally:
            self._wanted = False
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                # Whatever went wrong goes wrong again for whoever needs the answer.
                task.exception()

    async def _ask(
        self,
        opened: Callable[[], Awaitable[Store]],
        delivers: Callable[[], Awaitable[Deliver]],
    ) -> None:
        name = await self._name
        try:
            store = await opened()
            if await store.head(name) is None:
                self._deliver = await delivers()
                self._wanted = True
            else:
                self._wanted = False
        except AweighError:
            self._wanted = False

    def scanned(self, batches: Iterator[Rows], kept: Kept) -> None:
        """Make the packs of what is being scanned; blocking, in the scan's thread.

        Args:
            batches: Entries in order.
            kept: Contents of their files.
        """
        waiting: deque[list[Rows]] = deque()
        with _background() as pool:
            for number, pieces in enumerate(cut(batches)):
                if self._wanted is False:
                    return
                if number == _WORTH:
                    self._tell(pieces)
                if len(waiting) < _WAITING and _fits(pieces, kept):
                    waiting.append(pieces)
                while self._deliver is not None and waiting:
                    make = self._deliver.pack
                    self._make(waiting.popleft(), kept, pool, make)

    def take(self, pack: Pack, kept: Kept) -> bytes | None:
        """Give away a pack, if it is made and its files stand still; blocking.

        One look at each file tells whether somebody writes to the tree meanwhile: the
        pack would still be what was digested, but others might be newer.
        """
        made = self._made.pop(pack.listing, None)
        if made is None or not all(kept.stands(*each) for each in made.seen):
            return None
        return made.body.result()

    def _tell(self, pieces: list[Rows]) -> None:
        name = f"packs/{Digest.of(encode_rows(pieces)).hex}"
        # The loop may be closed: then nobody waits for an answer.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._asked, name)

    def _asked(self, name: str) -> None:
        if not self._name.done():
            self._name.set_result(name)

    def _make(
        self, pieces: list[Rows], kept: Kept, pool: ThreadPoolExecutor, make: _Make
    ) -> None:
        listing = encode_rows(pieces)
        contents: list[bytes] = []
        seen: list[tuple[bytes, Numbers]] = []
        for path in _files(pieces):
            held = kept.release(path)
            if held is None:
                return
            contents.append(held[0])
            seen.append((path, held[1]))
        body = pool.submit(make, listing, contents)
        self._made[Digest.of(listing)] = _Made(body, seen)


@contextmanager
def _background() -> Iterator[ThreadPoolExecutor]:
    """One thread, for reading needs the other processor; it ends when it is done."""
    pool = ThreadPoolExecutor(1, "aweigh-ahead")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False)


def _fits(pieces: list[Rows], kept: Kept) -> bool:
    """Whether a pack takes no more memory than what is kept of it."""
    text = sum(len(path) for rows in pieces for path in rows.paths)
    return text < sum(sum(rows.sizes) for rows in pieces) and all(
        path in kept for path in _files(pieces)
    )


def _files(pieces: list[Rows]) -> Iterator[bytes]:
    for rows in pieces:
        for path, kind in zip(rows.paths, rows.kinds, strict=True):
            if kind in _FILES:
                yield path
