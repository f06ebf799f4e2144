"""The schema, and how a record becomes a row and back: a damaged row is no record.

Migrations are additive: a newer minor version only adds tables, indexes or columns with
defaults, so older code goes on using a newer file. Anything else is a new major version
with a new file name.
"""

from __future__ import annotations

import math
import sqlite3
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.backends.localdb.faults import StrangeError
from aweigh.memory import Record, Table, digest_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "RowInfo",
    "decode",
    "delete",
    "delete_row",
    "expire",
    "insert",
    "is_answer",
    "is_storable",
    "listing",
    "select",
    "version",
]

APPLICATION_ID = 0x61776568
"""``aweh``: marks the file as ours (SQLite's ``application_id``)."""

VALUE_LIMIT = 64 << 20
"""Bytes of the largest value that is kept."""

_CHECKSUM_SIZE = 16
_CLOCK_SKEW = 60.0
_COLUMNS = "key, value, created_at, verified_at, expires_at, checksum"


# Ordinary tables, not WITHOUT ROWID: trees have values of megabytes, which a clustered
# index would have to step over on its way to every key.
def _create(table: Table) -> tuple[str, ...]:
    times = ", ".join(
        f"{time} REAL NOT NULL" for time in ("created_at", "verified_at", "expires_at")
    )
    columns = f"key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, {times}"
    return (
        f"CREATE TABLE IF NOT EXISTS {table} ({columns}, checksum BLOB NOT NULL)",
        f"CREATE INDEX IF NOT EXISTS {table}_expiry ON {table} (expires_at)",
    )


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    tuple(
        statement
        for table in (
            Table.IMAGES,
            Table.BUNDLES,
            Table.LAYERS,
            Table.TREES,
            Table.BASE_FACTS,
        )
        for statement in _create(table)
    ),
    _create(Table.LOCKS),
)
"""Statements that lead from minor version n to n + 1; none is ever changed."""

_SINCE = {Table.LOCKS: 2}
"""The minor version that brought a table, where it was not the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowInfo:
    """A row without its value, for listings; its checksum was not looked at.

    Attributes:
        key: The record's key.
        size: Bytes of its value.
        created_at: When it was first remembered, in seconds since the epoch.
        verified_at: When its source last confirmed it.
        expires_at: When it is too old to be an answer.
    """

    key: str
    size: int
    created_at: float
    verified_at: float
    expires_at: float


def version(connection: sqlite3.Connection) -> int:
    """Return the minor version of the schema; 0 when there is no schema yet.

    Raises:
        StrangeError: The file belongs to another application.
    """
    ((owner,),) = connection.execute("PRAGMA application_id").fetchall()
    ((minor,),) = connection.execute("PRAGMA user_version").fetchall()
    if owner == APPLICATION_ID:
        return int(minor)
    ((objects,),) = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    if owner or minor or objects:
        raise StrangeError("the file is another application's database")
    return 0


def is_storable(record: Record) -> bool:
    """Whether a record can be kept: SQLite turns NaN into NULL, and limits blobs."""
    times = (record.created_at, record.verified_at, record.expires_at)
    return (
        all(map(math.isfinite, times))
        and record.key.isascii()
        and len(record.value) <= VALUE_LIMIT
    )


def is_answer(record: Record, now: float) -> bool:
    """Whether a record may be an answer: not expired, and not from the future."""
    return (
        record.created_at <= now + _CLOCK_SKEW
        and record.verified_at <= now + _CLOCK_SKEW
        and now < record.expires_at
        and math.isfinite(record.expires_at - record.verified_at)
    )


def insert(connection: sqlite3.Connection, records: Iterable[Record]) -> int:
    """Write records, replacing older ones with the same keys; return how many."""
    count = 0
    for record in records:
        # + 0.0: SQLite keeps no negative zero, and the checksum covers every bit.
        times = (
            record.created_at + 0.0,
            record.verified_at + 0.0,
            record.expires_at + 0.0,
        )
        checksum = _checksum(record.table, record.key, record.value, times)
        connection.execute(
            f"INSERT OR REPLACE INTO {record.table} ({_COLUMNS})"  # noqa: S608  # an enum
            " VALUES (?, ?, ?, ?, ?, ?)",
            (record.key, record.value, *times, checksum),
        )
        count += 1
    return count


def select(
    connection: sqlite3.Connection, table: Table, key: str
) -> tuple[object, ...] | None:
    """Return the raw columns of a row, for `decode`, or None.

    A table that the file is too old for has no rows.
    """
    statement = f"SELECT {_COLUMNS} FROM {table} WHERE key = ?"  # noqa: S608  # an enum
    try:
        rows: list[tuple[object, ...]] = connection.execute(
            statement, (key,)
        ).fetchall()
    except sqlite3.OperationalError:
        if version(connection) >= _SINCE.get(table, 1):
            raise
        return None
    return rows[0] if rows else None


def decode(table: Table, key: str, row: Sequence[object]) -> Record | None:
    """Make a record of a raw row; None when any bit of it is not what was written."""
    match row:
        case (
            str(found),
            bytes(value),
            float(created_at),
            float(verified_at),
            float(expires_at),
            bytes(checksum),
        ) if found == key:
            times = (created_at, verified_at, expires_at)
            if checksum != _checksum(table, key, value, times):
                return None
            return Record(
                table=table,
                key=key,
                value=value,
                created_at=created_at,
                verified_at=verified_at,
                expires_at=expires_at,
            )
        case _:
            return None


def delete(connection: sqlite3.Connection, table: Table, keys: Iterable[str]) -> int:
    """Delete rows by key; return how many there were."""
    statement = f"DELETE FROM {table} WHERE key = ?"  # noqa: S608  # an enum
    return sum(connection.execute(statement, (key,)).rowcount for key in keys)


def delete_row(
    connection: sqlite3.Connection, table: Table, row: Sequence[object]
) -> int:
    """Delete a damaged row, unless it has been written anew since it was read."""
    key, checksum = row[0], row[-1]
    return connection.execute(
        f"DELETE FROM {table} WHERE key IS ? AND checksum IS ?",  # noqa: S608  # an enum
        (key, checksum),
    ).rowcount


def expire(
    connection: sqlite3.Connection, tables: Iterable[Table], now: float, limit: int
) -> int:
    """Delete at most `limit` rows that expired by `now`; return how many."""
    count = 0
    for table in tables:
        count += connection.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table}"  # noqa: S608  # an enum
            " WHERE expires_at <= ? LIMIT ?)",
            (now, limit - count),
        ).rowcount
    return count


def listing(connection: sqlite3.Connection, table: Table) -> list[RowInfo]:
    """Return every readable row of a table without its value, oldest first."""
    if version(connection) < _SINCE.get(table, 1):
        return []
    rows = connection.execute(
        "SELECT key, length(value), created_at, verified_at, expires_at"  # noqa: S608
        f" FROM {table} ORDER BY created_at, key"
    )
    listed = []
    for row in rows:
        match row:
            case (
                str(key),
                int(size),
                float(created_at),
                float(verified_at),
                float(expires_at),
            ):
                listed.append(
                    RowInfo(
                        key=key,
                        size=size,
                        created_at=created_at,
                        verified_at=verified_at,
                        expires_at=expires_at,
                    )
                )
            case _:
                pass  # damaged: not worth a line
    return listed


def _checksum(
    table: Table, key: str, value: bytes, times: tuple[float, float, float]
) -> bytes:
    parts = (table.value, key, value, struct.pack(">3d", *times))
    return digest_parts(parts)[:_CHECKSUM_SIZE]
