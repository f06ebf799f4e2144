"""Puts one bundle's objects into a store: the packs first, the manifest last."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from aweigh.archive.stream import in_thread
from aweigh.bundle.crowd import side_by_side
from aweigh.bundle.manifest import ALONE
from aweigh.bundle.pack import Packing, manifest_object, pack_bound
from aweigh.errors import StoreUnavailableError
from aweigh.events import UploadProgressed, Warned
from aweigh.oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator, Sequence

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.known import KnownPacks
    from aweigh.bundle.manifest import Manifest, Pack
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.tree.entry import Entry
    from aweigh.tree.scan import Tree

__all__ = ["Delivery", "missing"]

_QUESTIONS: Final = 64
_PUTS: Final = 16
# Above this a pack is never whole in memory.
_STREAMED: Final = 4 << 20
_MEDIUM_AT_ONCE: Final = 8
# Packs whose entries are in memory at a time.
_BATCH: Final = 256

_Loaded: TypeAlias = "tuple[Pack, tuple[Entry, ...]]"


async def missing(
    store: Store, uri: BundleUri, manifest: Manifest, known: KnownPacks | None = None
) -> frozenset[str]:
    """Return which objects of a bundle a store lacks.

    All are asked for, 64 at a time. The manifest alone would do to know whether the
    bundle was complete once; a pack that somebody deleted since is noticed here and
    put back.

    Args:
        store: The store.
        uri: The bundle's name.
        manifest: Its packs.
        known: Packs that need no question as long as their bundle is there.

    Raises:
        StoreError: The store did not say.
    """
    sure = known.listings if known else frozenset[Digest]()
    names = {pack.name for pack in manifest.packs if pack.listing not in sure}
    names.add(uri.manifest)
    if known is None:
        return await _absent(store, names)
    before = known.manifest(uri.store)
    gone = await _absent(store, names | {before})
    if before in gone:
        rest = {pack.name for pack in manifest.packs} - names
        gone |= await _absent(store, rest)
    return gone & ({pack.name for pack in manifest.packs} | {uri.manifest})


async def _absent(store: Store, names: Collection[str]) -> frozenset[str]:
    gone: list[str] = []

    async def ask(name: str) -> None:
        if await store.head(name) is None:
            gone.append(name)

    await side_by_side(sorted(names), ask, limit=_QUESTIONS)
    return frozenset(gone)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One bundle on its way into a store.

    Attributes:
        store: Where it goes.
        uri: Its name.
        tree: What it holds.
        manifest: How that is divided.
        listener: Hears how far it is.
    """

    store: Store
    uri: BundleUri
    tree: Tree
    manifest: Manifest
    listener: Listener
    _sent: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _packers: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Let as many threads compress as there are processors."""
        self._packers = asyncio.Semaphore(min(8, os.cpu_count() or 1))

    async def run(self, gone: frozenset[str]) -> int:
        """Put the objects that are missing.

        Args:
            gone: What `missing` returned.

        Returns:
            Bytes that were sent; 0 when others had put everything in the meantime.

        Raises:
            ChangedError: A file is no longer what it was when it was scanned. At most
                packs without a manifest are in the store then, never a bundle.
            StoreError: The store refused or did not answer.

        Cancelling leaves no manifest, hence no bundle.
        """
        sizes = (pack.size for pack in self.manifest.packs if pack.name in gone)
        self._done = self.manifest.size - sum(sizes)
        if gone - {self.uri.manifest}:
            self._warn_of(await asyncio.to_thread(lambda: self.tree.collisions))
        packs = self._packs(gone)
        while batch := await asyncio.to_thread(lambda: list(islice(packs, _BATCH))):
            await self._put(batch)
        if self.uri.manifest in gone:
            stored = await asyncio.to_thread(manifest_object, self.manifest)
            if await self.store.put(self.uri.manifest, stored, size=len(stored)):
                self._sent += len(stored)
            else:
                await self._be_sure(self.uri.manifest)
        return self._sent

    def _packs(self, gone: Collection[str]) -> Iterator[_Loaded]:
        """Go through the packs to put, with their entries."""
        entries = iter(self.tree.entries)
        for pack in self.manifest.packs:
            inside = islice(entries, pack.count)
            if pack.name in gone:
                yield pack, tuple(inside)
            else:
                deque(inside, maxlen=0)

    async def _put(self, batch: list[_Loaded]) -> None:
        small = [each for each in batch if each[0].size < ALONE]
        medium = [each for each in batch if ALONE <= each[0].size <= _STREAMED]
        large = [each for each in batch if each[0].size > _STREAMED]
        # One kind after the other, so that what is in memory stays below 120 MiB.
        await side_by_side(small, self._put_small, limit=_PUTS)
        await side_by_side(medium, self._put_small, limit=_MEDIUM_AT_ONCE)
        await side_by_side(large, self._put_large, limit=1)

    async def _put_small(self, each: _Loaded) -> None:
        pack, entries = each
        packing = Packing(self.tree, entries, threads=1)
        async with self._packers:
            body = await asyncio.to_thread(lambda: b"".join(packing))
        if await self.store.put(pack.name, body, size=len(body)):
            self._sent += len(body)
        else:
            await self._be_sure(pack.name)
        self._progress(pack.size)

    async def _put_large(self, each: _Loaded) -> None:
        pack, entries = each
        counter = _Counter()
        before = self._done
        stream = self._stream(Packing(self.tree, entries), counter)
        async with aclosing(stream) as chunks:
            if await self.store.put(pack.name, chunks, size=pack_bound(pack)):
                self._sent += counter.sent
            else:
                await self._be_sure(pack.name)
        self._progress(before + pack.size - self._done)

    async def _stream(
        self, packing: Packing, counter: _Counter
    ) -> AsyncGenerator[bytes, None]:
        packed = 0
        async with aclosing(in_thread(iter(packing))) as chunks:
            async for chunk in chunks:
                yield chunk
                counter.sent += len(chunk)
                self._progress(packing.packed - packed)
                packed = packing.packed

    def _progress(self, more: int) -> None:
        self._done += more
        self.listener(
            UploadProgressed(
                uri=str(self.uri), done=self._done, total=self.manifest.size
            )
        )

    async def _be_sure(self, name: str) -> None:
        """Look at an object that somebody else is said to have put."""
        if await self.store.head(name) is None:
            raise StoreUnavailableError(
                f"{self.store.url}/{name} was there and is gone",
                hint="somebody deletes from this store while we upload; try again",
            )

    def _warn_of(self, found: Sequence[tuple[str, ...]]) -> None:
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
