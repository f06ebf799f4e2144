"""What is remembered of bundles, and how long that is an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

from aweigh.bundle.bundle import Bundle, BundleUri, Origin
from aweigh.memory import Record, Table, record_key

__all__ = ["Age", "BundlePolicy", "bundle_key", "recalled"]


class Age(Enum):
    """What a remembered answer is still good for."""

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePolicy:
    """How long a remembered bundle counts as an answer.

    Attributes:
        fresh_for: Seconds since the store last confirmed it that need no question.
        ttl: Seconds since then after which it is forgotten.
        offline: Whether the store may not be asked at all.
        revalidate_timeout: Seconds the store has to confirm a stale answer.
    """

    fresh_for: float = 3600.0
    ttl: float = 30 * 86400.0
    offline: bool = False
    revalidate_timeout: float = 3.0

    def age(self, verified_at: float, now: float) -> Age:
        """Judge an answer; one from the future is not fresh, for a clock is wrong."""
        seconds = now - verified_at
        if seconds > self.ttl:
            return Age.EXPIRED
        return Age.FRESH if 0 <= seconds <= self.fresh_for else Age.STALE

    def renewed_before(self, now: float) -> float:
        """Say since when an object must be in the store not to be put again.

        Half of ``ttl``, but no less than a day: who remembers nothing shall not upload
        everything each time.
        """
        return now - max(self.ttl / 2, 86400.0)

    def record(self, bundle: Bundle, *, now: float) -> Record:
        """Note that the store confirmed a bundle just now."""
        uri = BundleUri.parse(bundle.uri)
        value = {
            "uri": bundle.uri,
            "digest": str(bundle.digest),
            "files": bundle.files,
            "size": bundle.size,
        }
        return Record(
            table=Table.BUNDLES,
            key=bundle_key(uri),
            value=json.dumps(value).encode(),
            created_at=now,
            verified_at=now,
            expires_at=now + self.ttl,
        )


def bundle_key(uri: BundleUri) -> str:
    """Return the key of a bundle's row: its store, its digest and its form."""
    return record_key("bundle", str(uri.store), str(uri.digest), uri.form)


def recalled(record: Record, uri: BundleUri) -> Bundle | None:
    """Read a bundle's row; None when it is not one of ours or of another bundle."""
    try:
        value = json.loads(record.value)
    except ValueError:
        return None
    match value:
        case {"uri": str(name), "digest": str(digest), "files": int(), "size": int()}:
            if (name, digest) != (str(uri), str(uri.digest)):
                return None
            return Bundle(
                uri=name,
                digest=uri.digest,
                files=value["files"],
                size=value["size"],
                uploaded_bytes=0,
                origin=Origin.RECALLED,
            )
        case _:
            return None
