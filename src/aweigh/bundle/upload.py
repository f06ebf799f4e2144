"""Brings the code of a directory into a store, with the least work that does it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aweigh.bundle.ahead import Ahead
from aweigh.bundle.answers import Answers
from aweigh.bundle.bundle import Bundle, BundleUri, Origin
from aweigh.bundle.explain import BundlePlan, foresee
from aweigh.bundle.form import Form
from aweigh.bundle.freight import Freight
from aweigh.bundle.known import packs_key, packs_record
from aweigh.bundle.known_tree import recall_tree
from aweigh.bundle.recall import BundlePolicy
from aweigh.bundle.scanner import Scanner, bundle_rules
from aweigh.bundle.store import StoreUrl
from aweigh.concurrency.single_flight import SingleFlight
from aweigh.errors import ChangedError, StoreUnavailableError
from aweigh.events.bundle import BundleUploaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from aweigh.bundle.freight import Deliver
    from aweigh.bundle.known_tree import KnownTree
    from aweigh.bundle.scanner import ScannedTree
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.memory import Memory, Record
    from aweigh.tree.scan import Tree

__all__ = ["BundlePolicy", "BundleUploader", "Uploaded"]

_RESTARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload came to.

    Attributes:
        bundle: The bundle that the store holds.
        records: What is now true. Nothing of it is written: the caller remembers it,
            in one transaction with whatever else it did.
        tree: What the bundle was made of.
    """

    bundle: Bundle
    records: list[Record]
    tree: Tree


class BundleUploader:
    """Uploads directories to one store, and remembers what is there.

    Belongs to one event loop. Coroutines and, with lock files, processes that upload
    the same content at the same time do it once.
    """

    def __init__(
        self,
        *,
        store: Callable[[], Awaitable[Store]],
        deliver: Callable[[Form], Awaitable[Deliver]],
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
            deliver: Returns what puts bundles of a form into it; only called when one
                may be missing.
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
        self._deliver = deliver
        self._url = StoreUrl.parse(store_url)
        self._policy = policy
        self._answers = Answers(
            store=store, policy=policy, listener=listener, clock=clock
        )
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
        form: Form = Form.PACKS,
    ) -> Uploaded:
        """Make sure that the store holds the code of a directory as it is now.

        Args:
            root: The directory.
            memory: Recalls what is known. Nothing is written to it; what turns out
                to be wrong is forgotten.
            include: Patterns; when there are any, only what matches one goes in.
            exclude: Patterns of what to leave out.
            follow: Whether symlinks are replaced by what they name.
            size_limit: Bytes the tree may have; None for no limit.
            form: How the store is to hold it.

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
        key, known = await _recall(scanner, memory)
        changed: list[ChangedError] = []
        while True:
            try:
                # After a surprise, what was known of the files is no longer trusted.
                scanned = await (
                    self._scan_ahead(scanner, key)
                    if known is None and not changed and form is Form.PACKS
                    else scanner.run(None if changed else known, self._listener)
                )
                uri = BundleUri(self._url, scanned.digest, form)
                bundle, records = await self._ensure(uri, scanned, memory, key)
                break
            except ChangedError as error:
                changed.append(error)
                if len(changed) > _RESTARTS:
                    raise _restless(root, changed) from error
        if scanned.known is not known:
            ttl = self._policy.ttl
            records += scanned.known.records(key, known, now=self._clock(), ttl=ttl)
        self._listener(
            BundleUploaded(
                uri=bundle.uri,
                origin=bundle.origin,
                uploaded_bytes=bundle.uploaded_bytes,
                seconds=time.perf_counter() - began,
            )
        )
        return Uploaded(bundle, records, scanned.tree)

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
        _, known = await _recall(scanner, memory)
        scanned = await scanner.run(known, self._listener)
        uri = BundleUri(self._url, scanned.digest)
        tier, reason = await foresee(
            uri,
            scanned,
            memory=memory,
            age=self._answers.age,
            store=None if self._policy.offline else self._open,
            before=self._answers.before(),
        )
        return BundlePlan(
            uri=str(uri),
            digest=scanned.digest,
            files=len(scanned.tree.entries),
            size=scanned.tree.size,
            tier=tier,
            reason=reason,
        )

    async def _scan_ahead(self, scanner: Scanner, key: str) -> ScannedTree:
        """Scan a tree that nothing is known of, and make packs meanwhile.

        Unless the tree is small, the store is asked for one of its packs.
        """
        if self._policy.offline:
            return await scanner.run(None, self._listener)
        ahead = Ahead()

        def turn(deliver: Deliver) -> AbstractAsyncContextManager[None]:
            now = time.monotonic()
            return deliver.turn(self._locks, key, self._listener, wait_deadline=now)

        def delivers() -> Awaitable[Deliver]:
            return self._deliver(Form.PACKS)

        async with ahead.asking(self._open, delivers, turn):
            return await scanner.run(None, self._listener, ahead)

    async def _ensure(
        self, uri: BundleUri, scanned: ScannedTree, memory: Memory, tree: str
    ) -> tuple[Bundle, list[Record]]:
        """Find a scanned tree in the store or put it there.

        Args:
            uri: The bundle's name.
            scanned: What it is made of.
            memory: What is remembered.
            tree: The key under which the tree is.
        """
        answer = await self._answers.recall(uri, scanned, memory)
        if answer is not None:
            return answer
        if self._policy.offline:
            raise StoreUnavailableError(
                f"offline, and nothing is remembered of {uri}",
                hint="upload it once without offline",
            )
        manifest = await scanned.divided()
        in_packs, key = uri.form is Form.PACKS, packs_key(self._url, tree)
        known = await self._answers.known_packs(memory, key) if in_packs else None
        before = self._answers.before()
        freight = Freight(
            uri,
            scanned.tree,
            manifest,
            known,
            before,
            ahead=scanned.ahead,
            key=tree,
        )
        bundle = await self._share(freight)
        at = known.verified_at if known else self._clock()
        ttl = self._policy.ttl
        records = [self._policy.record(bundle, now=at)]
        if in_packs:
            records += [packs_record(key, uri, manifest, verified_at=at, ttl=ttl)]
        return bundle, records

    async def _share(self, freight: Freight) -> Bundle:
        """Deliver a bundle, or wait for whoever in this process does already."""
        mine = False

        async def work() -> Bundle:
            nonlocal mine
            mine = True
            store = await self._open()
            deliver = await self._deliver(freight.uri.form)
            return await deliver(store, freight, self._listener, locks=self._locks)

        bundle = await self._flights.do(f"bundle {freight.uri}", work)
        if mine:
            return bundle
        return replace(bundle, origin=Origin.FOUND, uploaded_bytes=0)


async def _recall(scanner: Scanner, memory: Memory) -> tuple[str, KnownTree | None]:
    """Find out under which key a tree is remembered, and as what."""
    key = await asyncio.to_thread(scanner.key)
    return key, await recall_tree(memory, key)


def _restless(root: Path, changed: list[ChangedError]) -> ChangedError:
    paths = list(dict.fromkeys(path for error in changed for path in error.paths))
    return ChangedError(
        f"{', '.join(map(repr, paths[:5]))} in {str(root)!r} changed each of the "
        f"{len(changed)} times it was read",
        hint="wait until nothing writes to it, or leave it out with .aweighignore",
        paths=paths,
    )
