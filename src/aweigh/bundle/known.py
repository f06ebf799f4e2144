"""Which packs a store confirmed for a directory: after an edit only others are asked.

A row counts for as long as a remembered bundle does without a question
(`BundlePolicy.fresh_for`), from the moment all its packs were asked for. Even then the
manifest of that bundle is asked for once more: who empties a store is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.bundle.bundle import BundleUri
from aweigh.memory import Record, Table, record_key
from aweigh.oci.digest import Digest

if TYPE_CHECKING:
    from aweigh.bundle.manifest import Manifest
    from aweigh.bundle.store import StoreUrl

__all__ = ["KnownPacks", "packs_key", "packs_record"]

_SIZE: Final = 32


def packs_key(store: StoreUrl, tree: str) -> str:
    """Return the key of the packs of a directory in a store."""
    return record_key("bundle packs", str(store), tree)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPacks:
    """What a store had when it was last asked for everything.

    Attributes:
        bundle: The bundle it was asked for.
        listings: Of that bundle's packs.
        verified_at: When, in seconds since the epoch.
    """

    bundle: Digest
    listings: frozenset[Digest]
    verified_at: float

    @classmethod
    def parse(cls, row: Record) -> KnownPacks | None:
        """Read a row; None when it cannot be one."""
        value = row.value
        if not value or len(value) % _SIZE:
            return None
        digests = [
            Digest(value[start : start + _SIZE].hex())
            for start in range(0, len(value), _SIZE)
        ]
        return cls(
            bundle=digests[0],
            listings=frozenset(digests[1:]),
            verified_at=row.verified_at,
        )

    def manifest(self, store: StoreUrl) -> str:
        """Name of the object that must still be there."""
        return BundleUri(store, self.bundle).manifest


def packs_record(
    key: str, uri: BundleUri, manifest: Manifest, *, verified_at: float, ttl: float
) -> Record:
    """Note that a store has all packs of a bundle."""
    digests = [uri.digest, *(pack.listing for pack in manifest.packs)]
    return Record(
        table=Table.TREES,
        key=key,
        value=b"".join(bytes.fromhex(digest.hex) for digest in digests),
        created_at=verified_at,
        verified_at=verified_at,
        expires_at=verified_at + ttl,
    )
