"""What is remembered of bundles, confirmed by the store where memory is too old."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.bundle.known import KnownPacks
from aweigh.bundle.lacking import lacking
from aweigh.bundle.recall import Age, bundle_key, recalled
from aweigh.errors import StoreError
from aweigh.events import Warned
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.bundle.bundle import Bundle, BundleUri
    from aweigh.bundle.manifest import Manifest
    from aweigh.bundle.recall import BundlePolicy
    from aweigh.bundle.scanner import ScannedTree
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.memory import Memory, Record

__all__ = ["Answers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers for bundles of one store.

    Attributes:
        store: Opens the store; only called when it must be asked.
        policy: How long remembered answers count.
        listener: Hears what happens.
        clock: Seconds since the epoch.
    """

    store: Callable[[], Awaitable[Store]]
    policy: BundlePolicy
    listener: Listener
    clock: Callable[[], float]

    def age(self, verified_at: float) -> Age:
        """Judge what was verified at some moment."""
        return self.policy.age(verified_at, self.clock())

    def before(self) -> float:
        """Say from when objects are so old that they are put again."""
        return self.policy.renewed_before(self.clock())

    async def known_packs(self, memory: Memory, key: str) -> KnownPacks | None:
        """Recall which packs need no question, if that was found out lately."""
        row = await memory.recall(Table.TREES, key)
        known = KnownPacks.parse(row) if row else None
        if known and self.age(known.verified_at) is Age.FRESH:
            return known
        return None

    async def recall(
        self, uri: BundleUri, scanned: ScannedTree, memory: Memory
    ) -> tuple[Bundle, list[Record]] | None:
        """Answer from memory, asking the store where memory alone is too old.

        Args:
            uri: The bundle's name.
            scanned: What it is made of.
            memory: What is remembered; a row that is found wrong is forgotten.

        Returns:
            The bundle and what is now true; None when nobody vouches for it.
        """
        row = await memory.recall(Table.BUNDLES, bundle_key(uri))
        bundle = recalled(row, uri) if row else None
        if row is None or bundle is None:
            return None
        match self.age(row.verified_at):
            case Age.FRESH:
                return bundle, []
            case Age.EXPIRED:
                return None
            case Age.STALE if self.policy.offline:
                return bundle, []
            case Age.STALE:
                manifest = await scanned.divided()
                return await self._revalidate(uri, manifest, bundle, memory)

    async def _revalidate(
        self, uri: BundleUri, manifest: Manifest, bundle: Bundle, memory: Memory
    ) -> tuple[Bundle, list[Record]] | None:
        try:
            async with asyncio.timeout(self.policy.revalidate_timeout):
                store, before = await self.store(), self.before()
                found = await lacking(store, uri, manifest, before=before)
        except (StoreError, TimeoutError) as error:
            reason = str(error) or "it did not answer in time"
            self.listener(
                Warned(
                    message=f"cannot ask whether {uri} is still there: {reason}",
                    hint="it was there before, so it is taken to be there now",
                )
            )
            return bundle, []
        if found.gone:
            # The row is known to be wrong: a store that stops answering during the
            # upload must not bring it back as an answer.
            await memory.forget(Table.BUNDLES, [bundle_key(uri)])
        if found.names:
            return None
        return bundle, [self.policy.record(bundle, now=self.clock())]
