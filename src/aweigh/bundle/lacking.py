"""What a store lacks of a bundle: objects it does not have, and ones that grow old.

A pack is as old as the first bundle that had it, so a store that expires objects by age
would take packs from young bundles. Whoever finds an object old puts it again: then all
of a bundle is young for some time after each upload, and expiring by age is safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.bundle.form import Form
from aweigh.concurrency.together import side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.known import KnownPacks
    from aweigh.bundle.manifest import Manifest
    from aweigh.bundle.store import Store

__all__ = ["Lacking", "lacking"]

_QUESTIONS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Names of objects of a bundle.

    Attributes:
        gone: The store does not have them.
        old: It has them, but they were put too long ago.
    """

    gone: frozenset[str]
    old: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """All that are to be put."""
        return self.gone | self.old


async def lacking(
    store: Store,
    uri: BundleUri,
    manifest: Manifest,
    known: KnownPacks | None = None,
    *,
    before: float,
    sure: Collection[str] = (),
) -> Lacking:
    """Find out what is to be put so that a store has a bundle, and keeps it.

    All objects are asked for, 64 at a time. The manifest alone would do to know whether
    the bundle was complete once; a pack that somebody deleted since is noticed here and
    put back.

    Args:
        store: The store.
        uri: The bundle's name.
        manifest: Its packs.
        known: Packs that need no question as long as their bundle is there.
        before: What was put before is old; in seconds since the epoch.
        sure: Objects that were put a moment ago.

    Raises:
        StoreError: The store did not say.
    """
    if uri.form is not Form.PACKS:
        return await _ask(store, {uri.archive}, before)
    packs = {pack.name for pack in manifest.packs}.difference(sure)
    if known is None:
        return await _ask(store, packs | {uri.manifest}, before)
    listings = known.listings
    names = {pack.name for pack in manifest.packs if pack.listing not in listings}
    names.add(uri.manifest)
    last = known.manifest(uri.store)
    found = await _ask(store, names | {last}, before)
    gone, old = found.gone, found.old
    if last in gone:
        rest = await _ask(store, packs - names, before)
        gone, old = gone | rest.gone, old | rest.old
    ours = packs | {uri.manifest}
    return Lacking(gone=gone & ours, old=old & ours)


async def _ask(store: Store, names: Collection[str], before: float) -> Lacking:
    gone: list[str] = []
    old: list[str] = []

    async def ask(name: str) -> None:
        held = await store.head(name)
        if held is None:
            gone.append(name)
        elif held.modified_at < before:
            old.append(name)

    await side_by_side(sorted(names), ask, limit=_QUESTIONS)
    return Lacking(gone=frozenset(gone), old=frozenset(old))
