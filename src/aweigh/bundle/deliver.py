"""Delivers a bundle once, however many processes want to at the same time."""

from __future__ import annotations

from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aweigh.bundle.archives import ArchiveDelivery
from aweigh.bundle.bundle import Bundle, Origin
from aweigh.bundle.delivery import Delivery
from aweigh.bundle.form import Form
from aweigh.bundle.lacking import lacking
from aweigh.bundle.pack import packed
from aweigh.concurrency.file_lock import FileLock
from aweigh.errors import StoreError
from aweigh.events import Warned

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.freight import Freight
    from aweigh.bundle.lacking import Lacking
    from aweigh.bundle.store import Store
    from aweigh.events import Listener

__all__ = ["deliver"]


class _Deliver:
    """A `aweigh.bundle.freight.Deliver`."""

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
        return await _deliver(store, freight, listener, locks=locks)

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


deliver: Final = _Deliver()


async def _deliver(
    store: Store, freight: Freight, listener: Listener, *, locks: Path | None
) -> Bundle:
    uri, tree = freight.uri, freight.tree
    ahead = freight.ahead
    placed = ahead.placed if ahead else {}
    packs = {pack.name for pack in freight.manifest.packs} if placed else set()

    async def look() -> Lacking:
        found = await lacking(
            store,
            uri,
            freight.manifest,
            freight.known,
            before=freight.before,
            sure=placed,
        )
        moved = packs & ahead.moved if ahead else set()
        return replace(found, gone=found.gone | moved)

    found = await look()
    sent = sum(placed.values())
    if found.names:
        async with AsyncExitStack() as stack:
            if locks is not None:
                lock = FileLock(locks, str(uri), purpose=f"upload {uri}")
                await stack.enter_async_context(lock.hold(listener=listener))
                others = not placed and ahead is not None
                if others:
                    async with deliver.turn(locks, freight.key, listener):
                        pass
                # Whoever held it before has put this object last, if it got so far.
                last = uri.manifest if uri.form is Form.PACKS else uri.archive
                if (
                    others
                    or last not in found.gone
                    or await store.head(last) is not None
                ):
                    found = await look()
            try:
                sent += await _put(store, freight, found, listener)
            except StoreError as error:
                if found.gone:
                    raise
                listener(_not_renewed(uri, error))
    return Bundle(
        uri=str(uri),
        digest=uri.digest,
        files=len(tree.entries),
        size=tree.size,
        uploaded_bytes=sent,
        origin=Origin.UPLOADED if sent else Origin.FOUND,
    )


async def _put(
    store: Store, freight: Freight, found: Lacking, listener: Listener
) -> int:
    uri, tree = freight.uri, freight.tree
    if not found.names:
        return 0
    if uri.form is not Form.PACKS:
        archive = ArchiveDelivery(
            store=store, uri=uri, tree=tree, listener=listener, old=found.old
        )
        return await archive.run()
    delivery = Delivery(
        store=store,
        uri=uri,
        tree=tree,
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
