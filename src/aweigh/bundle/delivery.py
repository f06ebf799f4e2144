"""Puts one bundle's objects into a store: the packs first, the manifest last."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from aweigh.archive.stream import in_thread
from aweigh.bundle.manifest import ALONE
from aweigh.bundle.pack import Packing, manifest_object, pack_bound
from aweigh.concurrency.together import side_by_side
from aweigh.errors import StoreUnavailableError
from aweigh.events import Warned
from aweigh.events.bundle import UploadProgressed
from aweigh.tree.rows import Rows

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Collection,
        Iterator,
        Sequence,
    )

    from aweigh.bundle.ahead import Ahead
    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.manifest import Manifest, Pack
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.tree.scan import Tree

__all__ = ["Delivery"]

# Small packs that one thread makes before they are put, and how many such groups.
_GROUP: Final = 8
_GROUPS: Final = 3
# Above this a pack is never whole in memory.
_STREAMED: Final = 4 << 20
_MEDIUM_AT_ONCE: Final = 8
# Packs whose entries are in memory at a time.
_BATCH: Final = 256
_ENTRIES: Final = 20_000

_Loaded: TypeAlias = "tuple[Pack, list[Rows]]"


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One bundle on its way into a store.

    Attributes:
        store: Where it goes.
        uri: Its name.
        tree: What it holds.
        manifest: How that is divided.
        listener: Hears how far it is.
        old: Objects that are put although the store has them.
        ahead: Packs that are made already.
    """

    store: Store
    uri: BundleUri
    tree: Tree
    manifest: Manifest
    listener: Listener
    old: frozenset[str] = frozenset()
    ahead: Ahead | None = None
    _sent: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _total: int = field(init=False)
    _name: str = field(init=False)
    _packers: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Let as many threads compress as there are processors."""
        self._total, self._name = self.manifest.size, str(self.uri)
        self._packers = asyncio.Semaphore(min(8, os.cpu_count() or 1))

    async def run(self, gone: frozenset[str]) -> int:
        """Put the objects that are missing or old.

        Args:
            gone: Their names.

        Returns:
            Bytes that were sent; 0 when others had put everything in the meantime.

        Raises:
            ChangedError: A file is no longer what it was when it was scanned. At most
                packs without a manifest are in the store then, never a bundle.
            StoreError: The store refused or did not answer.

        Cancelling leaves no manifest, hence no bundle.
        """
        sizes = (pack.size for pack in self.manifest.packs if pack.name in gone)
        self._done = self._total - sum(sizes)
        if gone - {self.uri.manifest}:
            self._warn_of(await asyncio.to_thread(lambda: self.tree.collisions))
        packs = self._packs(gone)
        while batch := await asyncio.to_thread(lambda: _some(packs)):
            await self._put(batch)
        if self.uri.manifest in gone:
            stored = await asyncio.to_thread(manifest_object, self.manifest)
            if await self._place(self.uri.manifest, stored, size=len(stored)):
                self._sent += len(stored)
            else:
                await self._be_sure(self.uri.manifest)
        return self._sent

    def _packs(self, gone: Collection[str]) -> Iterator[_Loaded]:
        """Go through the packs to put, with their entries."""
        batches = self.tree.entries.rows()
        rows, at = Rows([], b"", [], []), 0
        for pack in self.manifest.packs:
            pieces: list[Rows] = []
            left, wanted = pack.count, pack.name in gone
            while left:
                if at == len(rows):
                    rows, at = next(batches), 0
                stop = min(len(rows), at + left)
                if wanted:
                    pieces.append(rows.part(at, stop))
                left, at = left - (stop - at), stop
            if wanted:
                yield pack, pieces

    async def _put(self, batch: list[_Loaded]) -> None:
        small = [each for each in batch if each[0].size < ALONE]
        medium = [each for each in batch if ALONE <= each[0].size <= _STREAMED]
        large = [each for each in batch if each[0].size > _STREAMED]
        # One kind after the other, so that what is in memory stays below 120 MiB.
        groups = [
            small[start : start + _GROUP] for start in range(0, len(small), _GROUP)
        ]
        await side_by_side(groups, self._put_group, limit=_GROUPS)
        alone = [[each] for each in medium]
        await side_by_side(alone, self._put_group, limit=_MEDIUM_AT_ONCE)
        await side_by_side(large, self._put_large, limit=1)

    async def _put_group(self, group: list[_Loaded]) -> None:
        """Make some packs in one go, for each change of threads costs, and put them."""
        async with self._packers:
            bodies = await asyncio.to_thread(
                lambda: [self._body(pack, pieces) for pack, pieces in group]
            )
        packs = [pack for pack, _ in group]
        await side_by_side(
            zip(packs, bodies, strict=True), self._put_small, limit=_GROUP
        )

    def _body(self, pack: Pack, pieces: list[Rows]) -> bytes:
        made = self.ahead and self.ahead.take(pack)
        return made or Packing(self.tree, pieces, threads=1).whole()

    async def _put_small(self, made: tuple[Pack, bytes]) -> None:
        pack, body = made
        if await self._place(pack.name, body, size=len(body)):
            self._sent += len(body)
        else:
            await self._be_sure(pack.name)
        self._progress(pack.size)

    async def _put_large(self, each: _Loaded) -> None:
        pack, pieces = each
        counter = _Counter()
        before = self._done
        stream = self._stream(Packing(self.tree, pieces), counter)
        async with aclosing(stream) as chunks:
            if await self._place(pack.name, chunks, size=pack_bound(pack)):
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

    async def _place(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, *, size: int
    ) -> bool:
        """Put an object; False when somebody else did since we looked."""
        if name not in self.old:
            return await self.store.put(name, chunks, size=size)
        await self.store.renew(name, chunks, size=size)
        return True

    def _progress(self, more: int) -> None:
        self._done += more
        progress = UploadProgressed(uri=self._name, done=self._done, total=self._total)
        self.listener(progress)

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


def _some(packs: Iterator[_Loaded]) -> list[_Loaded]:
    """The next packs to put: as many as may be in memory with their entries."""
    batch: list[_Loaded] = []
    entries = 0
    for each in packs:
        batch.append(each)
        entries += each[0].count
        if len(batch) == _BATCH or entries >= _ENTRIES:
            break
    return batch


@dataclass(slots=True)
class _Counter:
    """Bytes that a store took."""

    sent: int = 0
