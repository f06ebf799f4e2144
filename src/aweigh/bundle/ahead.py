"""Makes packs of a tree, and puts them, while the rest of it is still being read.

Reading keeps one processor busy, and most of compressing needs no interpreter: done
side by side they take as long as the longer one. Into a directory packs are put right
then, too, by the one of all processes that scan the tree which is first; stores on the
network get them later, many at a time. What comes out may turn out to be needless, or
another pack than the tree has at last: then it is not used, and no manifest names it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.bundle.manifest import Manifest, Pack, cut, object_name
from aweigh.bundle.store import PromptStore
from aweigh.errors import AweighError, StoreError
from aweigh.tree.rows import EXECUTABLE, PLAIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from concurrent.futures import Future
    from contextlib import AbstractAsyncContextManager

    from aweigh.bundle.freight import Deliver
    from aweigh.bundle.store import Store
    from aweigh.oci.digest import Digest
    from aweigh.tree.digests import Numbers
    from aweigh.tree.kept import Kept
    from aweigh.tree.rows import Rows

    _Make = Callable[[bytes, list[bytes]], bytes]
    _Put = Callable[[str, bytes], bool]
    _Turn = Callable[[Deliver], AbstractAsyncContextManager[None]]

__all__ = ["Ahead"]

# A tree of fewer packs is not worth a question.
_WORTH: Final = 8
# Packs that wait for the answer; what comes after them is packed later.
_WAITING: Final = 256
# Seconds that a store may take for the last few; then it is asked for them again.
_PATIENCE: Final = 10.0
_FILES: Final = frozenset({PLAIN, EXECUTABLE})


@dataclass(frozen=True, slots=True)
class _Made:
    """A pack that is compressed, or being so, and the files that went in.

    ``done`` has its bytes, or the number of them when the store took them.
    """

    done: Future[bytes | int]
    seen: list[tuple[bytes, Numbers]]


class Ahead:
    """Packs of one tree that are made while it is scanned.

    It holds no more than the scan kept for it: a pack takes the place of its contents.

    Attributes:
        placed: Objects that the store took, with their bytes.
        moved: Those of them with a file that did not stand still until all of the
            tree was read: it has to be read again before a manifest names them.
    """

    def __init__(self) -> None:
        """Begin with nothing; belongs to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._name: asyncio.Future[str] = self._loop.create_future()
        # Asked for while the scan goes on; None as long as nobody knows.
        self._wanted: bool | None = None
        self._deliver: Deliver | None = None
        self._put: _Put | None = None
        self._made: dict[Digest, _Made] = {}
        self._packs: list[Pack] = []
        self._skipped = False
        self._kept: Kept | None = None
        self.placed: dict[str, int] = {}
        self.moved: set[str] = set()

    @asynccontextmanager
    async def asking(
        self,
        opened: Callable[[], Awaitable[Store]],
        delivers: Callable[[], Awaitable[Deliver]],
        turn: _Turn | None,
    ) -> AsyncIterator[None]:
        """Find out meanwhile whether the store has a pack from the tree's beginning.

        If so it will have most of them, and none is made ahead. A store that does not
        answer is asked again by whoever puts something.

        Args:
            opened: Opens the store, or returns the open one.
            delivers: Returns what makes packs.
            turn: Returns what is held while packs are put, and an error when somebody
                else does; None when nothing is to be put yet.

        Cancelling leaves packs in the store at most, which no manifest names.
        """
        task = asyncio.create_task(self._ask(opened, delivers, turn))
        try:
            yield
            await self._finish()
        finally:
            self._wanted, self._put = False, None
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                # Whatever went wrong goes wrong again for whoever needs the answer.
                task.exception()

    async def _ask(
        self,
        opened: Callable[[], Awaitable[Store]],
        delivers: Callable[[], Awaitable[Deliver]],
        turn: _Turn | None,
    ) -> None:
        try:
            # Whatever the store says, somebody will need it.
            store, deliver = await opened(), await delivers()
            name = await self._name
            if await store.head(name) is not None:
                self._wanted = False
            elif turn is None or not isinstance(store, PromptStore):
                self._deliver, self._wanted = deliver, True
            else:
                async with turn(deliver):
                    self._put = store.put_now
                    self._deliver, self._wanted = deliver, True
                    await asyncio.Event().wait()  # until the scan ends
        except AweighError:
            self._wanted = False

    async def _finish(self) -> None:
        """Wait for the last packs; forget those that a store keeps for too long."""
        if self._put is None or not self._made:
            return
        doing = [asyncio.wrap_future(made.done) for made in self._made.values()]
        standing, _ = await asyncio.gather(
            asyncio.to_thread(self._standing),
            asyncio.wait(doing, timeout=_PATIENCE),
        )
        for listing, stands in standing.items():
            done = self._made[listing].done
            size = done.result() if done.done() else b""
            if isinstance(size, int):
                self.placed[object_name(listing)] = size
                if not stands:
                    self.moved.add(object_name(listing))
            if isinstance(size, int) or not done.done():
                del self._made[listing]

    def _standing(self) -> dict[Digest, bool]:
        return {each: self._stand(made) for each, made in self._made.items()}

    def _stand(self, made: _Made) -> bool:
        """Tell whether nobody writes to what a pack was made of.

        It would still be what was digested, but other files might be newer.
        """
        kept = self._kept
        return kept is not None and all(kept.stands(*each) for each in made.seen)

    def scanned(self, batches: Iterator[Rows], kept: Kept) -> None:
        """Make the packs of what is being scanned; blocking, in the scan's thread.

        Args:
            batches: Entries in order.
            kept: Contents of their files.
        """
        self._kept = kept
        waiting: deque[list[Rows]] = deque()
        with _background() as pool:
            for number, pieces in enumerate(cut(batches)):
                if self._wanted is False:
                    self._skipped = True
                    return
                if number == _WORTH:
                    self._tell(pieces)
                if len(waiting) < _WAITING and _fits(pieces, kept):
                    waiting.append(pieces)
                else:
                    self._skipped = True
                while self._deliver is not None and waiting:
                    make = self._deliver.pack
                    self._make(waiting.popleft(), kept, pool, make)
        self._skipped = self._skipped or bool(waiting)

    def manifest(self, entries: int) -> Manifest | None:
        """Return the manifest of a tree of so many entries, if all its packs are here.

        A tree with empty directories has more entries than came by.
        """
        if self._skipped or sum(pack.count for pack in self._packs) != entries:
            return None
        return Manifest(tuple(self._packs))

    def take(self, pack: Pack) -> bytes | None:
        """Give away a pack, if it is made and its files stand still; blocking."""
        made = self._made.pop(pack.listing, None)
        if made is None or not self._stand(made):
            return None
        body = made.done.result()
        return None if isinstance(body, int) else body

    def _tell(self, pieces: list[Rows]) -> None:
        name = Pack.of(pieces)[0].name
        # The loop may be closed: then nobody waits for an answer.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._asked, name)

    def _asked(self, name: str) -> None:
        if not self._name.done():
            self._name.set_result(name)

    def _make(
        self, pieces: list[Rows], kept: Kept, pool: ThreadPoolExecutor, make: _Make
    ) -> None:
        pack, listing = Pack.of(pieces)
        self._packs.append(pack)
        contents: list[bytes] = []
        seen: list[tuple[bytes, Numbers]] = []
        for path in _files(pieces):
            held = kept.release(path)
            if held is None:
                return
            contents.append(held[0])
            seen.append((path, held[1]))
        done = pool.submit(lambda: self._placed(pack.name, make(listing, contents)))
        self._made[pack.listing] = _Made(done, seen)

    def _placed(self, name: str, body: bytes) -> bytes | int:
        put = self._put
        # Whatever goes wrong goes wrong again for whoever puts it later.
        with suppress(StoreError):
            if put is not None and put(name, body):
                return len(body)
        return body


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
