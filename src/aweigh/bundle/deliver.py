"""Delivers a bundle once, however many processes want to at the same time."""

from __future__ import annotations

from contextlib import AsyncExitStack
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


deliver: Final = _Deliver()


async def _deliver(
    store: Store, freight: Freight, listener: Listener, *, locks: Path | None
) -> Bundle:
    uri, tree = freight.uri, freight.tree

    async def look() -> Lacking:
        return await lacking(
            store, uri, freight.manifest, freight.known, before=freight.before
        )

    found = await look()
    sent = 0
    if found.names:
        async with AsyncExitStack() as stack:
            if locks is not None:
                lock = FileLock(locks, str(uri), purpose=f"upload {uri}")
                await stack.enter_async_context(lock.hold(listener=listener))
                # Whoever held it before has put this object last, if it got so far.
                last = uri.manifest if uri.form is Form.PACKS else uri.archive
                if last not in found.gone or await store.head(last) is not None:
                    found = await look()
            try:
                sent = await _put(store, freight, found, listener)
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
