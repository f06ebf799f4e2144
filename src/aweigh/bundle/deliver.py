"""Delivers a bundle once, however many processes want to at the same time."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.bundle.bundle import Bundle, Origin
from aweigh.bundle.delivery import Delivery, missing
from aweigh.concurrency.file_lock import FileLock

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.known import KnownPacks
    from aweigh.bundle.manifest import Manifest
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.tree.scan import Tree

__all__ = ["Freight", "deliver"]


@dataclass(frozen=True, slots=True)
class Freight:
    """A bundle that must get into a store.

    Attributes:
        uri: Its name.
        tree: What it holds.
        manifest: How that is divided.
        known: Packs of the store that need no question.
    """

    uri: BundleUri
    tree: Tree
    manifest: Manifest
    known: KnownPacks | None


async def deliver(
    store: Store, freight: Freight, listener: Listener, *, locks: Path | None
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
    uri, tree, manifest = freight.uri, freight.tree, freight.manifest
    gone = await missing(store, uri, manifest, freight.known)
    sent = 0
    if gone:
        async with AsyncExitStack() as stack:
            if locks is not None:
                lock = FileLock(locks, str(uri), purpose=f"upload {uri}")
                await stack.enter_async_context(lock.hold(listener=listener))
                gone = await missing(store, uri, manifest, freight.known)
            delivery = Delivery(
                store=store, uri=uri, tree=tree, manifest=manifest, listener=listener
            )
            sent = await delivery.run(gone)
    return Bundle(
        uri=str(uri),
        digest=uri.digest,
        files=len(tree.entries),
        size=tree.size,
        uploaded_bytes=sent,
        origin=Origin.UPLOADED if sent else Origin.FOUND,
    )
