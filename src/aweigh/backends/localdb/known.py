"""Records kept in memory, so that asking twice costs no trip to the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.memory import Record, Table

__all__ = ["Known"]

_MOST = 4096
_LARGEST = 256 << 10


class Known:
    """A bounded dictionary of records; the oldest leave first.

    Large values are not kept: they cost memory for long and are asked for once.
    """

    def __init__(self) -> None:
        self._records: dict[tuple[Table, str], Record] = {}

    def get(self, table: Table, key: str) -> Record | None:
        """Return a record that was put here and not dropped since."""
        return self._records.get((table, key))

    def put(self, record: Record) -> None:
        """Keep a record in place of an older one."""
        self.drop(record.table, (record.key,))
        if len(record.value) <= _LARGEST:
            self._records[record.table, record.key] = record
        if len(self._records) > _MOST:
            del self._records[next(iter(self._records))]

    def drop(self, table: Table, keys: Iterable[str]) -> None:
        """Drop records; unknown ones are fine."""
        for key in keys:
            self._records.pop((table, key), None)

    def clear(self) -> None:
        """Drop every record."""
        self._records.clear()
