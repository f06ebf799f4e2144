"""Puts one bundle's objects into a store: the pack first, the manifest last."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.archive.stream import in_thread
from aweigh.bundle.pack import Packing, archive_bound, manifest_object
from aweigh.errors import StoreUnavailableError
from aweigh.events import UploadProgressed, Warned

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.tree.scan import Tree

__all__ = ["Delivery", "missing"]


async def missing(store: Store, uri: BundleUri) -> tuple[str, ...]:
    """Return which objects of a bundle a store lacks, in the order to put them.

    Both are asked for at once. The manifest alone would do to know whether the bundle
    was complete once; a pack that somebody deleted since is noticed here and put back.

    Raises:
        StoreError: The store did not say.
    """
    names = (uri.pack, uri.manifest)
    tasks = [asyncio.create_task(store.head(name)) for name in names]
    try:
        sizes = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return tuple(name for name, size in zip(names, sizes, strict=True) if size is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One bundle on its way into a store.

    Attributes:
        store: Where it goes.
        uri: Its name.
        tree: What it holds.
        listener: Hears how far it is.
    """

    store: Store
    uri: BundleUri
    tree: Tree
    listener: Listener

    async def run(self, gone: Sequence[str]) -> int:
        """Put the objects that are missing.

        Args:
            gone: What `missing` returned.

        Returns:
            Bytes that were sent; 0 when others had put everything in the meantime.

        Raises:
            ChangedError: A file is no longer what it was when it was scanned. At most
                a pack without a manifest is in the store then, never a bundle.
            StoreError: The store refused or did not answer.

        Cancelling leaves no manifest, hence no bundle.
        """
        sent = 0
        if self.uri.pack in gone:
            self._warn_of_collisions()
            sent += await self._put_pack(Packing(self.tree))
        if self.uri.manifest in gone:
            manifest = await asyncio.to_thread(manifest_object, self.tree.entries)
            if await self.store.put(self.uri.manifest, manifest, size=len(manifest)):
                sent += len(manifest)
            else:
                await self._be_sure(self.uri.manifest)
        return sent

    async def _put_pack(self, packing: Packing) -> int:
        counter = _Counter()
        bound = await asyncio.to_thread(archive_bound, self.tree.entries)
        async with aclosing(self._stream(packing, counter)) as chunks:
            if await self.store.put(self.uri.pack, chunks, size=bound):
                return counter.sent
        await self._be_sure(self.uri.pack)
        return 0

    async def _stream(
        self, packing: Packing, counter: _Counter
    ) -> AsyncGenerator[bytes, None]:
        total = self.tree.size
        async with aclosing(in_thread(iter(packing))) as chunks:
            async for chunk in chunks:
                yield chunk
                counter.sent += len(chunk)
                done = min(packing.packed, total)
                self.listener(
                    UploadProgressed(uri=str(self.uri), done=done, total=total)
                )

    async def _be_sure(self, name: str) -> None:
        """Look at an object that somebody else is said to have put."""
        if await self.store.head(name) is None:
            raise StoreUnavailableError(
                f"{self.store.url}/{name} was there and is gone",
                hint="somebody deletes from this store while we upload; try again",
            )

    def _warn_of_collisions(self) -> None:
        found = self.tree.collisions
        if found:
            names = " and ".join(map(repr, found[0]))
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            self.listener(
                Warned(
                    message=f"{names}{more} differ only in case or in Unicode form",
                    hint="file systems that do not tell them apart cannot unpack "
                    "this bundle",
                )
            )


@dataclass(slots=True)
class _Counter:
    """Bytes that a store took."""

    sent: int = 0
