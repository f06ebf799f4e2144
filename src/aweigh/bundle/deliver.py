"""Delivers a bundle once, however many processes want to at the same time."""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aweigh.bundle.bundle import Bundle, Origin
from aweigh.bundle.delivery import Delivery
from aweigh.bundle.form import Form
from aweigh.bundle.lacking import lacking
from aweigh.bundle.pack import packed
from aweigh.concurrency.file_lock import FileLock
from aweigh.errors import StoreError
from aweigh.events import Warned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from typing import TypeAlias

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.freight import Freight
    from aweigh.bundle.lacking import Lacking
    from aweigh.bundle.store import Store
    from aweigh.events import Listener

    Put: TypeAlias = Callable[[Store, Freight, Lacking, Listener], Awaitable[int]]

__all__ = ["Delivering", "deliver"]


class Delivering:
    """A `aweigh.bundle.freight.Deliver` for one kind of form."""

    def __init__(self, put: Put) -> None:
        """Deliver with what puts the objects of a form, and returns their bytes."""
        self._put = put

    async def __call__(
        self, store: Store, freight: Freight, listener: Listener, *, locks: Path | None
    ) -> Bundle:
        """Put what a store lacks of a bundle, unless another process does.

        Args:
            store: The store.
            freight: The bundle.
            listener: Hears of waits and how far it is.
            locks: Directory of lock files between processes; None for no locks.

        Raises:
            ChangedError: A file is no longer what it was when it was scanned.
            StoreError: The store refused or did not answer.

        Cancelling leaves no bundle, or a whole one.
        """
        sent = sum(freight.ahead.placed.values()) if freight.ahead else 0
        found = await _look(store, freight)
        if found.names:
            async with self._alone(store, freight, found, listener, locks) as still:
                try:
                    if still.names:
                        sent += await self._put(store, freight, still, listener)
                except StoreError as error:
                    if still.gone:
                        raise
                    listener(_not_renewed(freight.uri, error))
        return Bundle(
            uri=str(freight.uri),
            digest=freight.uri.digest,
            files=len(freight.tree.entries),
            size=freight.tree.size,
            uploaded_bytes=sent,
            origin=Origin.UPLOADED if sent else Origin.FOUND,
        )

    @asynccontextmanager
    async def _alone(
        self,
        store: Store,
        freight: Freight,
        found: Lacking,
        listener: Listener,
        locks: Path | None,
    ) -> AsyncIterator[Lacking]:
        """Hold the lock of a bundle, and give what it lacks by then."""
        uri = freight.uri
        if locks is None:
            yield found
            return
        lock = FileLock(locks, str(uri), purpose=f"upload {uri}")
        async with lock.hold(listener=listener):
            # Whoever held it before has put this object last, if it got so far.
            last = uri.manifest if uri.form is Form.PACKS else uri.archive
            if freight.ahead is not None and not freight.ahead.placed:
                async with self.turn(locks, freight.key, listener):
                    found = await _look(store, freight)
            elif last not in found.gone or await store.head(last) is not None:
                found = await _look(store, freight)
            yield found

    def pack(self, listing: bytes, contents: Iterable[bytes]) -> bytes:
        """Make the small pack that has this listing; blocking."""
        return packed(listing, contents)

    def turn(
        self,
        locks: Path | None,
        key: str,
        listener: Listener,
        *,
        wait_deadline: float | None = None,
    ) -> AbstractAsyncContextManager[None]:
        """Return what is held while packs of a tree are put ahead.

        Args:
            locks: Directory of lock files; None for no locks.
            key: Under which the tree is remembered.
            listener: Hears that we wait.
            wait_deadline: The moment on ``time.monotonic`` to give up waiting at.

        Raises:
            LockTimeoutError: When it is entered, the deadline passed.
        """
        if locks is None:
            return nullcontext()
        lock = FileLock(locks, f"ahead {key}", purpose="upload packs of a tree")
        return lock.hold(listener=listener, wait_deadline=wait_deadline)


async def _look(store: Store, freight: Freight) -> Lacking:
    """Find out what a store lacks, besides what was put there while it was scanned."""
    ahead, manifest = freight.ahead, freight.manifest
    found = await lacking(
        store,
        freight.uri,
        manifest,
        freight.known,
        before=freight.before,
        sure=ahead.placed if ahead else (),
    )
    if ahead is None or not ahead.moved:
        return found
    moved = ahead.moved.intersection(pack.name for pack in manifest.packs)
    return replace(found, gone=found.gone | moved)


async def _put(
    store: Store, freight: Freight, found: Lacking, listener: Listener
) -> int:
    delivery = Delivery(
        store=store,
        uri=freight.uri,
        tree=freight.tree,
        manifest=freight.manifest,
        ahead=freight.ahead,
        listener=listener,
        old=found.old,
    )
    return await delivery.run(found.names)


def _not_renewed(uri: BundleUri, error: StoreError) -> Warned:
    return Warned(
        message=f"{uri} is there and grows old, and cannot be put again: {error}",
        hint="a store that expires objects by age will remove it some day",
    )


deliver: Final = Delivering(_put)
