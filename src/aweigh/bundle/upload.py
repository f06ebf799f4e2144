"""Brings the code of a directory into a store, with the least work that does it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aweigh.bundle.bundle import Bundle, BundleUri, Origin
from aweigh.bundle.deliver import Freight, deliver
from aweigh.bundle.delivery import missing
from aweigh.bundle.explain import BundlePlan, foresee
from aweigh.bundle.known import KnownPacks, packs_key, packs_record
from aweigh.bundle.manifest import Manifest
from aweigh.bundle.recall import Age, BundlePolicy, KnownTree, bundle_key, recalled
from aweigh.bundle.scanner import Scanner, bundle_rules
from aweigh.bundle.store import StoreUrl
from aweigh.concurrency.single_flight import SingleFlight
from aweigh.errors import ChangedError, StoreError, StoreUnavailableError
from aweigh.events import BundleUploaded, Warned
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from aweigh.bundle.scanner import ScannedTree
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.memory import Memory, Record

__all__ = ["BundlePolicy", "BundleUploader"]

_RESTARTS: Final = 3


class BundleUploader:
    """Uploads directories to one store, and remembers what is there.

    Belongs to one event loop. Coroutines and, with lock files, processes that upload
    the same content at the same time do it once.
    """

    def __init__(
        self,
        *,
        store: Callable[[], Awaitable[Store]],
        store_url: str,
        policy: BundlePolicy,
        listener: Listener,
        clock: Callable[[], float] = time.time,
        flights: SingleFlight[Bundle] | None = None,
        locks: Path | None = None,
        ours: Sequence[Path] = (),
    ) -> None:
        """Wire an uploader.

        Args:
            store: Opens the store, or returns the open one; only called when the
                store must be asked.
            store_url: The store's URL.
            policy: How long remembered answers count.
            listener: Hears what happens.
            clock: Seconds since the epoch.
            flights: Uploads under way in this process; None for those of this
                uploader alone.
            locks: Directory of lock files between processes; None for no locks.
            ours: Directories that we write to: no bundle has what is in them.

        Raises:
            SettingsError: The URL is not one of a store.
        """
        self._open = store
        self._url = StoreUrl.parse(store_url)
        self._policy = policy
        self._listener = listener
        self._clock = clock
        # Not `or`: one with nothing under way is empty, and so false.
        self._flights = SingleFlight[Bundle]() if flights is None else flights
        self._locks = locks
        self._ours = tuple(ours)

    async def upload(
        self,
        root: Path,
        *,
        memory: Memory,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        follow: bool = False,
        size_limit: int | None,
    ) -> tuple[Bundle, list[Record]]:
        """Make sure that the store holds the code of a directory as it is now.

        Args:
            root: The directory.
            memory: Recalls what is known. Nothing is written to it; what turns out
                to be wrong is forgotten.
            include: Patterns; when there are any, only what matches one goes in.
            exclude: Patterns of what to leave out.
            follow: Whether symlinks are replaced by what they name.
            size_limit: Bytes the tree may have; None for no limit.

        Returns:
            The bundle, and the records that are now true. They are not written: the
            caller remembers them, in one transaction with whatever else it did.

        Raises:
            ChangedError: Files changed each time they were packed.
            TreeError: The tree is empty, too large, or has a file that cannot be read.
            StoreUnavailableError: The store did not answer and nothing is remembered.
            StoreError: The store refused.

        Cancelling leaves no half-written object and remembers nothing.
        """
        began = time.perf_counter()
        rules = bundle_rules(root, include, exclude, self._ours)
        scanner = Scanner(root=root, rules=rules, follow=follow, size_limit=size_limit)
        key = await asyncio.to_thread(scanner.key)
        packs = packs_key(self._url, key)
        row = await memory.recall(Table.TREES, key)
        known = KnownTree.parse(row.value) if row else None
        changed: list[ChangedError] = []
        while True:
            try:
                # After a surprise, what was known of the files is no longer trusted.
                scanned = await scanner.run(None if changed else known, self._listener)
                bundle, records = await self._ensure(scanned, memory, packs)
                break
            except ChangedError as error:
                changed.append(error)
                if len(changed) > _RESTARTS:
                    raise _restless(root, changed) from error
        if scanned.known != known:
            now = self._clock()
            records.append(scanned.known.record(key, now=now, ttl=self._policy.ttl))
        self._listener(
            BundleUploaded(
                uri=bundle.uri,
                origin=bundle.origin,
                uploaded_bytes=bundle.uploaded_bytes,
                seconds=time.perf_counter() - began,
            )
        )
        return bundle, records

    async def explain(
        self,
        root: Path,
        *,
        memory: Memory,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        follow: bool = False,
        size_limit: int | None,
    ) -> BundlePlan:
        """Say what `upload` would do with the same arguments, and do none of it.

        Raises:
            ChangedError: Files changed while they were read.
            TreeError: The tree is empty, too large, or has a file that cannot be read.
        """
        rules = bundle_rules(root, include, exclude, self._ours)
        scanner = Scanner(root=root, rules=rules, follow=follow, size_limit=size_limit)
        row = await memory.recall(Table.TREES, await asyncio.to_thread(scanner.key))
        known = KnownTree.parse(row.value) if row else None
        scanned = await scanner.run(known, self._listener)
        uri = BundleUri(self._url, scanned.digest)
        tier, reason = await foresee(
            uri,
            scanned.tree,
            memory=memory,
            age=lambda at: self._policy.age(at, self._clock()),
            store=None if self._policy.offline else self._open,
        )
        return BundlePlan(
            uri=str(uri),
            digest=scanned.digest,
            files=len(scanned.tree.entries),
            size=scanned.tree.size,
            tier=tier,
            reason=reason,
        )

    async def _ensure(
        self, scanned: ScannedTree, memory: Memory, key: str
    ) -> tuple[Bundle, list[Record]]:
        uri = BundleUri(self._url, scanned.digest)
        answer = await self._recall(uri, scanned, memory)
        if answer is not None:
            return answer
        if self._policy.offline:
            raise StoreUnavailableError(
                f"offline, and nothing is remembered of {uri}",
                hint="upload it once without offline",
            )
        manifest = await asyncio.to_thread(Manifest.of, scanned.tree.entries)
        if manifest.digest != uri.digest:
            raise _misremembered(scanned)
        known = await self._known_packs(memory, key)
        freight = Freight(uri, scanned.tree, manifest, known)
        bundle = await self._share(freight)
        at = known.verified_at if known else self._clock()
        policy = self._policy
        packs = packs_record(key, uri, manifest, verified_at=at, ttl=policy.ttl)
        return bundle, [policy.record(bundle, now=at), packs]

    async def _known_packs(self, memory: Memory, key: str) -> KnownPacks | None:
        """Recall which packs need no question, if that was found out lately."""
        row = await memory.recall(Table.TREES, key)
        known = KnownPacks.parse(row) if row else None
        if known and self._policy.age(known.verified_at, self._clock()) is Age.FRESH:
            return known
        return None

    async def _recall(
        self, uri: BundleUri, scanned: ScannedTree, memory: Memory
    ) -> tuple[Bundle, list[Record]] | None:
        """Answer from memory, asking the store where memory alone is too old."""
        row = await memory.recall(Table.BUNDLES, bundle_key(uri))
        bundle = recalled(row, uri) if row else None
        if row is None or bundle is None:
            return None
        match self._policy.age(row.verified_at, self._clock()):
            case Age.FRESH:
                return bundle, []
            case Age.EXPIRED:
                return None
            case Age.STALE if self._policy.offline:
                return bundle, []
            case Age.STALE:
                manifest = await asyncio.to_thread(Manifest.of, scanned.tree.entries)
                return await self._revalidate(uri, manifest, bundle, memory)

    async def _revalidate(
        self, uri: BundleUri, manifest: Manifest, bundle: Bundle, memory: Memory
    ) -> tuple[Bundle, list[Record]] | None:
        try:
            async with asyncio.timeout(self._policy.revalidate_timeout):
                gone = await missing(await self._open(), uri, manifest)
        except (StoreError, TimeoutError) as error:
            reason = str(error) or "it did not answer in time"
            self._listener(
                Warned(
                    message=f"cannot ask whether {uri} is still there: {reason}",
                    hint="it was there before, so it is taken to be there now",
                )
            )
            return bundle, []
        if gone:
            # The row is known to be wrong: a store that stops answering during the
            # upload must not bring it back as an answer.
            await memory.forget(Table.BUNDLES, [bundle_key(uri)])
            return None
        return bundle, [self._policy.record(bundle, now=self._clock())]

    async def _share(self, freight: Freight) -> Bundle:
        """Deliver a bundle, or wait for whoever in this process does already."""
        mine = False

        async def work() -> Bundle:
            nonlocal mine
            mine = True
            store = await self._open()
            return await deliver(store, freight, self._listener, locks=self._locks)

        bundle = await self._flights.do(f"bundle {freight.uri}", work)
        if mine:
            return bundle
        return replace(bundle, origin=Origin.FOUND, uploaded_bytes=0)


def _misremembered(scanned: ScannedTree) -> ChangedError:
    return ChangedError(
        f"what is remembered of {str(scanned.tree.root)!r} is not what is there",
        hint="clear the cache with 'aweigh cache clean'",
    )


def _restless(root: Path, changed: list[ChangedError]) -> ChangedError:
    paths = list(dict.fromkeys(path for error in changed for path in error.paths))
    return ChangedError(
        f"{', '.join(map(repr, paths[:5]))} in {str(root)!r} changed each of the "
        f"{len(changed)} times it was read",
        hint="wait until nothing writes to it, or leave it out with .aweighignore",
        paths=paths,
    )
