"""Memory: keys that cannot collide, and the wrappers around a memory."""

import string
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from aweigh.memory import (
    DeferredMemory,
    Memory,
    ReadOnlyMemory,
    Record,
    Table,
    digest_parts,
    record_key,
)

PARTS = st.lists(st.text(max_size=4) | st.binary(max_size=4), max_size=4)


class DictMemory:
    """Keeps records in a dict, and counts its transactions."""

    def __init__(self) -> None:
        self.records: dict[tuple[Table, str], Record] = {}
        self.writes = 0

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return the record."""
        return self.records.get((table, key))

    async def remember(self, records: Sequence[Record], /) -> None:
        """Keep the records."""
        self.writes += 1
        self.records |= {(record.table, record.key): record for record in records}

    async def forget(self, table: Table, keys: Sequence[str], /) -> None:
        """Drop the records."""
        for key in keys:
            self.records.pop((table, key), None)


def record(key: str, value: bytes = b"v", table: Table = Table.IMAGES) -> Record:
    """Make a record."""
    return Record(
        table=table, key=key, value=value, created_at=1, verified_at=2, expires_at=3
    )


@given(one=PARTS, two=PARTS)
def test_keys_are_equal_only_for_equal_parts(
    one: list[str | bytes], two: list[str | bytes]
) -> None:
    """No two lists of parts run together into one key; text is its UTF-8 bytes."""
    same = [p.encode() if isinstance(p, str) else p for p in one] == [
        p.encode() if isinstance(p, str) else p for p in two
    ]
    assert (record_key(*one) == record_key(*two)) is same


def test_parts_do_not_run_on() -> None:
    """Moving a letter from one part to the next is another key."""
    assert len({record_key("ab", "c"), record_key("a", "bc"), record_key("abc")}) == 3
    assert record_key("a") != record_key("a", "")


def test_keys_stay_what_they_are() -> None:
    """The encoding is part of what is stored: 8 bytes of length, then the part."""
    assert record_key() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert record_key("a", b"\x00") == (
        "2e2cc6b8b22546402a85182ea928ce6d46f0cefb04a46280ef5f86b45e6d833e"
    )
    assert set(record_key("a")) <= set(string.hexdigits.lower())
    assert digest_parts(part for part in ("a", b"\x00")).hex() == record_key("a", b"\0")


async def test_deferred_memory_writes_once() -> None:
    """What several writers remember is one transaction, at flush."""
    behind = DictMemory()
    memory = DeferredMemory(behind)
    await memory.remember([record("a"), record("b", b"old")])
    await memory.remember([record("b", b"new"), record("b", table=Table.LAYERS)])
    assert behind.writes == 0
    assert await memory.recall(Table.IMAGES, "b") == record("b", b"new")
    await memory.flush()
    assert behind.writes == 1
    assert set(behind.records.values()) == {
        record("a"),
        record("b", b"new"),
        record("b", table=Table.LAYERS),
    }


async def test_deferred_memory_recalls_what_is_behind() -> None:
    """A record that was not changed here is the one behind."""
    behind = DictMemory()
    await behind.remember([record("a")])
    memory = DeferredMemory(behind)
    assert await memory.recall(Table.IMAGES, "a") == record("a")
    assert await memory.recall(Table.BUNDLES, "a") is None


async def test_deferred_memory_forgets_at_once() -> None:
    """Forgetting does not wait for flush, and flush does not bring it back."""
    behind = DictMemory()
    await behind.remember([record("a"), record("b")])
    memory = DeferredMemory(behind)
    await memory.forget(Table.IMAGES, ["b"])
    await memory.remember([record("a", b"new"), record("c")])
    await memory.forget(Table.IMAGES, ["a", "unknown"])
    assert await memory.recall(Table.IMAGES, "a") is None
    await memory.flush()
    assert set(behind.records.values()) == {record("c")}


async def test_deferred_memory_passes_on_after_flush() -> None:
    """Who remembers late loses nothing; flushing twice or empty writes nothing."""
    behind = DictMemory()
    memory = DeferredMemory(behind)
    await memory.flush()
    await memory.flush()
    assert behind.writes == 0
    await memory.remember([record("late")])
    assert await memory.recall(Table.IMAGES, "late") == record("late")
    assert behind.writes == 1


async def test_read_only_memory_changes_nothing() -> None:
    """Questions recall, and leave everything as it was."""
    behind = DictMemory()
    await behind.remember([record("a")])
    memory: Memory = ReadOnlyMemory(behind)
    await memory.remember([record("b")])
    await memory.forget(Table.IMAGES, ["a"])
    assert await memory.recall(Table.IMAGES, "a") == record("a")
    assert await memory.recall(Table.IMAGES, "b") is None
    assert behind.writes == 1
