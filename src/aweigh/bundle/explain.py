"""What an upload would do and why, found out without changing anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aweigh.bundle.delivery import missing
from aweigh.bundle.manifest import Manifest
from aweigh.bundle.recall import Age, bundle_key, recalled
from aweigh.errors import StoreError
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.store import Store
    from aweigh.memory import Memory
    from aweigh.oci.digest import Digest
    from aweigh.tree.scan import Tree

__all__ = ["BundlePlan", "Tier", "foresee"]

Tier = Literal["cache", "store", "upload", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePlan:
    """What would happen to a bundle.

    Attributes:
        uri: Where it is, or would be.
        digest: Its digest.
        files: How many entries it has.
        size: Bytes of their contents.
        tier: Who would answer: ``cache`` or ``store``; or ``upload`` when it would be
            uploaded, ``undecided`` when the store does not say.
        reason: Why.
    """

    uri: str
    digest: Digest
    files: int
    size: int
    tier: Tier
    reason: str


async def foresee(
    uri: BundleUri,
    tree: Tree,
    *,
    memory: Memory,
    age: Callable[[float], Age],
    store: Callable[[], Awaitable[Store]] | None,
) -> tuple[Tier, str]:
    """Say who would answer for a bundle, and why.

    Args:
        uri: Its name.
        tree: What it holds.
        memory: What is remembered.
        age: Judges when a row was verified.
        store: Opens the store; None when it may not be asked.
    """
    row = await memory.recall(Table.BUNDLES, bundle_key(uri))
    judged = Age.EXPIRED
    if row is not None and recalled(row, uri) is not None:
        judged = age(row.verified_at)
    if judged is Age.FRESH:
        return "cache", "the store had it a short while ago"
    otherwise: Tier = "cache" if judged is Age.STALE else "undecided"
    if store is None:
        return otherwise, "offline"
    manifest = await asyncio.to_thread(Manifest.of, tree.entries)
    try:
        gone = await missing(await store(), uri, manifest)
    except StoreError as error:
        return otherwise, str(error)
    if gone:
        return "upload", "the store does not have it"
    return "store", "the store has it"
