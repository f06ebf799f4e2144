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

__all__ = [
    "DeferredMemory",
    "Memory",
    "ReadOnlyMemory",
    "Record",
    "Table",
    "digest_parts",
    "record_key",
]


class Table(StrEnum):
    """The kinds of things that are remembered."""

    IMAGES = "images"
    BUNDLES = "bundles"
    LAYERS = "layers"
    TREES = "trees"
    BASE_FACTS = "base_facts"
    LOCKS = "locks"


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


class DeferredMemory:
    """Collects what is remembered, so that several writers share one transaction."""

    def __init__(self, memory: Memory) -> None:
        """Recall from and, at `flush`, write to this memory."""
        self._memory = memory
        self._pending: dict[tuple[Table, str], Record] | None = {}

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return what was remembered here, or else by the memory behind."""
        pending = self._pending.get((table, key)) if self._pending else None
        return pending or await self._memory.recall(table, key)

    async def remember(self, records: Sequence[Record], /) -> None:
        """Keep these until `flush`; after it, pass them on at once."""
        if self._pending is None:
            await self._memory.remember(records)
        else:
            self._pending |= {(record.table, record.key): record for record in records}

    async def forget(self, table: Table, keys: Sequence[str], /) -> None:
        """Drop these here and behind, at once."""
        for key in keys:
            if self._pending:
                self._pending.pop((table, key), None)
        await self._memory.forget(table, keys)

    async def flush(self) -> None:
        """Write everything that was collected in one transaction."""
        pending, self._pending = self._pending, None
        if pending:
            await self._memory.remember(list(pending.values()))


class ReadOnlyMemory:
    """Recalls, and writes nothing: for questions that must change nothing."""

    def __init__(self, memory: Memory) -> None:
        """Recall from this memory."""
        self._memory = memory

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return what the memory behind has."""
        return await self._memory.recall(table, key)

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
