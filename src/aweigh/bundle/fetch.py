"""Brings a bundle out of a store into a directory, whole and verified or not at all."""

from __future__ import annotations

import asyncio
import functools
import os
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeVar

from aweigh.bundle.bundle import BundleUri
from aweigh.bundle.pack import MANIFEST_LIMIT, open_manifest, pack_bound
from aweigh.bundle.staging import Staging, holds
from aweigh.bundle.store import StoreUrl
from aweigh.bundle.unpack import Unpacking
from aweigh.concurrency.file_lock import FileLock
from aweigh.concurrency.together import side_by_side
from aweigh.errors import (
    BundleNotFoundError,
    DamagedError,
    StoreError,
    StoreUnavailableError,
    TreeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aweigh.bundle.manifest import Manifest, Pack
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.oci.digest import Digest

__all__ = ["fetch"]

T = TypeVar("T")

# Packs under way at the same time.
_AT_ONCE: Final = 16


async def fetch(
    store: Store,
    digest: Digest,
    destination: Path,
    *,
    listener: Listener,
    locks: Path | None = None,
) -> Path:
    """Unpack a bundle into a directory that is new, empty, or holds it already.

    The directory appears under its name only when every file was verified. It holds a
    file ``.aweigh-bundle`` with the bundle's digest: a directory with that marker is
    reused without asking the store. Processes that fetch to one place do it once.

    Args:
        store: The store that holds the bundle.
        digest: The bundle's digest, from its URI.
        destination: The directory; parents are made as needed.
        listener: Hears of waits and retries.
        locks: Directory of lock files; ``.aweigh-locks`` beside the destination when
            None.

    Returns:
        The directory, absolute and without symlinks.

    Raises:
        BundleNotFoundError: The store does not hold the bundle.
        DamagedError: What the store holds is not the bundle, or tries to do harm.
        TreeError: Something else is at the destination, or it cannot be written.
        StoreError: The store refused or did not answer.

    Cancelling leaves the destination as it was. A killed process leaves a directory
    whose name begins with ``.<name>.aweigh-``; the next fetch goes on with the packs in
    it, or removes it when it is of another bundle.
    """
    uri = BundleUri(StoreUrl.parse(store.url), digest)
    destination = await asyncio.to_thread(destination.resolve)
    if await asyncio.to_thread(_there, destination, digest):
        return destination
    try:
        folder = locks or destination.parent / ".aweigh-locks"
        lock = FileLock(folder, f"fetch {destination}", purpose=f"fetch {uri}")
        async with lock.hold(listener=listener):
            if not await asyncio.to_thread(holds, destination, digest):
                await _Fetching(store, uri).run(destination)
    except OSError as error:
        raise TreeError(
            f"cannot write {str(destination)!r}: {error.strerror or error}",
            hint="make room or make it writable, or fetch to another directory",
        ) from error
    return destination


def _there(destination: Path, digest: Digest) -> bool:
    if not holds(destination, digest):
        return False
    Staging.sweep(destination)
    return True


class _Fetching:
    """One bundle on its way out of a store."""

    def __init__(self, store: Store, uri: BundleUri) -> None:
        self._store = store
        self._uri = uri

    async def run(self, destination: Path) -> None:
        manifest = await self._manifest()
        digest = self._uri.digest
        made: list[Staging] = []
        try:
            await _to_end(lambda: made.append(Staging.beside(destination, digest)))
            [staging] = made
            try:
                await self._fill(staging, manifest)
            except (DamagedError, StoreError) as error:
                if not staging.taken_over or isinstance(error, StoreUnavailableError):
                    raise
                # A machine that lost its power may have left anything behind, also
                # more of a pack than there is.
                await _to_end(staging.start_over)
                await self._fill(staging, manifest)
            await _to_end(lambda: staging.publish(destination, digest))
        finally:
            for staging in made:
                await _to_end(staging.remove)

    async def _manifest(self) -> Manifest:
        name = self._uri.manifest
        parts: list[bytes] = []
        size = 0
        try:
            async with aclosing(self._store.get(name)) as chunks:
                async for chunk in chunks:
                    parts.append(chunk)
                    size += len(chunk)
                    if size > MANIFEST_LIMIT:
                        raise self._damaged(name, f"more than {MANIFEST_LIMIT} bytes")
        except BundleNotFoundError as error:
            raise BundleNotFoundError(
                f"{self._uri} is not in the store",
                hint="upload it again, or correct the URI",
            ) from error
        return await asyncio.to_thread(
            lambda: open_manifest(
                b"".join(parts), self._uri.digest, name=f"{self._store.url}/{name}"
            )
        )

    async def _fill(self, staging: Staging, manifest: Manifest) -> None:
        unpacking = Unpacking(staging.tree)
        await _to_end(lambda: unpacking.make_sure(manifest))

        async def bring(pack: Pack) -> None:
            path = staging.pack(pack.listing)
            if not (staging.taken_over and await asyncio.to_thread(path.exists)):
                await self._download(pack, path, go_on=staging.taken_over)
            try:
                await _to_end(
                    lambda: unpacking.pack(path, pack), when_cancelled=unpacking.stop
                )
            except DamagedError as error:
                raise self._damaged(pack.name, str(error)) from error

        await side_by_side(manifest.packs, bring, limit=_AT_ONCE)
        try:
            await _to_end(lambda: unpacking.finish(manifest))
        except DamagedError as error:
            raise self._damaged(self._uri.manifest, str(error)) from error

    async def _download(self, pack: Pack, path: Path, *, go_on: bool) -> None:
        """Keep a pack, under its name when it is whole.

        Args:
            pack: Which.
            path: Where.
            go_on: Whether what a dead owner had of it counts.
        """
        limit = pack_bound(pack)
        part = path.with_suffix(".part")
        size = await _to_end(lambda: _kept(part) if go_on else _emptied(part))
        try:
            async with aclosing(self._store.get(pack.name, start=size)) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise self._damaged(pack.name, f"more than {limit} bytes")
                    await _to_end(functools.partial(_append, part, chunk))
        except BundleNotFoundError as error:
            raise self._damaged(pack.name, "it is missing") from error
        await _to_end(lambda: part.rename(path))

    def _damaged(self, name: str, what: str) -> DamagedError:
        return DamagedError(
            f"{self._store.url}/{name} does not hold bundle {self._uri.digest}: {what}",
            hint=f"delete {self._uri} from the store and upload it anew",
        )


def _emptied(part: Path) -> int:
    part.write_bytes(b"")
    return 0


def _kept(part: Path) -> int:
    """Say how much there is of a pack, but for a byte: a store must have more."""
    part.touch()
    size = max(0, part.stat().st_size - 1)
    os.truncate(part, size)
    return size


def _append(path: Path, chunk: bytes) -> None:
    with path.open("ab") as file:
        file.write(chunk)


async def _to_end(
    work: Callable[[], T], *, when_cancelled: Callable[[], object] = bool
) -> T:
    """Run something in a thread, and return only when that thread is done with it.

    A thread cannot be cancelled: one that was left behind would still write into what
    is being removed.

    Args:
        work: Runs in the thread.
        when_cancelled: Called for each cancellation, to make the work end early.

    Raises:
        CancelledError: The caller was cancelled meanwhile; the work has ended.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            when_cancelled()
    if cancelled is not None:
        # Looked at, so that asyncio does not call it a forgotten failure.
        task.exception()
        raise cancelled
    return task.result()
