"""What is remembered of bundles and trees, and how long that is an answer."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final

from aweigh.bundle.bundle import Bundle, BundleUri, Origin
from aweigh.memory import Record, Table, record_key
from aweigh.oci.digest import Digest

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.tree.rules import Rules
    from aweigh.tree.scan import Tree

__all__ = ["Age", "BundlePolicy", "KnownTree", "bundle_key", "recalled", "tree_key"]

_DIGEST_SIZE: Final = 32


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
    """Return the key of a bundle's row: its store and its digest."""
    return record_key("bundle", str(uri.store), str(uri.digest))


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


def tree_key(root: Path, rules: Rules, *, follow: bool) -> str:
    """Return the key of a tree's row: where it really is and what is taken of it."""
    return record_key(
        "bundle tree 2",
        os.fsencode(os.path.realpath(root)),
        bytes([rules.builtin, rules.gitignore, follow]),
        len(rules.include).to_bytes(8, "big"),
        *map(os.fsencode, rules.include),
        *map(os.fsencode, rules.exclude),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTree:
    """What a tree was when it was last scanned.

    Attributes:
        digest: The digest of its bundle, which need not be computed again when the
            tree is unchanged.
        value: The digest's bytes, and behind them the `Tree.signature` that
            `aweigh.tree.scan` wants back: in one piece, for it may be large.
    """

    SKIP: ClassVar[int] = _DIGEST_SIZE

    digest: Digest
    value: bytes

    @classmethod
    def parse(cls, value: bytes) -> KnownTree | None:
        """Read a row's value; None when it is too short to be one."""
        if len(value) < _DIGEST_SIZE:
            return None
        return cls(digest=Digest(value[:_DIGEST_SIZE].hex()), value=value)

    @classmethod
    def of(cls, tree: Tree, digest: Digest) -> KnownTree:
        """Note a tree and the digest of its bundle."""
        value = tree.sealed.packed(bytes.fromhex(digest.hex))
        return cls(digest=digest, value=value)

    def record(self, key: str, *, now: float, ttl: float) -> Record:
        """Note this tree under its key."""
        return Record(
            table=Table.TREES,
            key=key,
            value=self.value,
            created_at=now,
            verified_at=now,
            expires_at=now + ttl,
        )
