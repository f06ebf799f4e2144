"""What an upload would do and why, found out without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aweigh.bundle.lacking import lacking
from aweigh.bundle.recall import Age, bundle_key, recalled
from aweigh.errors import StoreError
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.scanner import ScannedTree
    from aweigh.bundle.store import Store
    from aweigh.memory import Memory
    from aweigh.oci.digest import Digest

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
    scanned: ScannedTree,
    *,
    memory: Memory,
    age: Callable[[float], Age],
    store: Callable[[], Awaitable[Store]] | None,
    before: float,
) -> tuple[Tier, str]:
    """Say who would answer for a bundle, and why.

    Args:
        uri: Its name.
        scanned: What it holds.
        memory: What is remembered.
        age: Judges when a row was verified.
        store: Opens the store; None when it may not be asked.
        before: What was put before this moment would be put again.
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
    manifest = await scanned.divided()
    try:
        found = await lacking(await store(), uri, manifest, before=before)
    except StoreError as error:
        return otherwise, str(error)
    if found.gone:
        return "upload", "the store does not have it"
    if found.old:
        return "upload", "the store has had it for so long that it is put again"
    return "store", "the store has it"
