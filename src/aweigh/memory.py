"""What is remembered between calls and processes, and the protocol to do it.

LocalDB (`aweigh.backends.localdb`) keeps records on disk. Whoever remembers decides
what a record's value means; memory only promises that what it returns is exactly what
was put in, or nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ForgetfulMemory", "Memory", "Record", "Table", "digest_parts", "record_key"]


class Table(StrEnum):
    """The kinds of things that are remembered."""

    IMAGES = "images"
    BUNDLES = "bundles"
    LAYERS = "layers"
    TREES = "trees"
    BASE_FACTS = "base_facts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that was true when it was verified.

    Attributes:
        table: What kind of thing it is.
        key: 64 hex digits from `record_key`.
        value: The remembered bytes; never a secret.
        created_at: When it was first remembered, in seconds since the epoch.
        verified_at: When its source last confirmed it.
        expires_at: When it is too old to be an answer.
    """

    table: Table
    key: str
    value: bytes
    created_at: float
    verified_at: float
    expires_at: float


class Memory(Protocol):
    """Recalls, remembers and forgets records.

    No method raises because of a fault of the memory itself: a fault is a miss and a
    warning event, never an error and never a wrong answer.
    """

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return the intact, unexpired record of this key, or None."""
        ...

    async def remember(self, records: Sequence[Record], /) -> None:
        """Keep all of these in one transaction, replacing older ones.

        Once called, the write happens even when the caller is cancelled.
        """
        ...

    async def forget(self, table: Table, keys: Sequence[str], /) -> None:
        """Drop these records; unknown keys are fine."""
        ...


class ForgetfulMemory:
    """A memory that keeps nothing: every recall is a miss."""

    async def recall(self, _table: Table, _key: str, /) -> Record | None:
        """Return nothing."""
        return None

    async def remember(self, _records: Sequence[Record], /) -> None:
        """Keep nothing."""

    async def forget(self, _table: Table, _keys: Sequence[str], /) -> None:
        """Drop nothing."""


def record_key(*parts: str | bytes) -> str:
    """Digest some parts into a key; parts are length-prefixed, so none can run on."""
    return digest_parts(parts).hex()


def digest_parts(parts: Iterable[str | bytes]) -> bytes:
    """SHA-256 over an unambiguous encoding of the parts, in order."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()
