"""What a fault of the database means for its user: wait, do without, or start afresh.

SQLite's own error names decide (`sqlite_errorname`), never the message texts.
"""

from __future__ import annotations

import sqlite3
from enum import Enum, auto
from typing import Any

__all__ = [
    "AbsentError",
    "ClosedError",
    "Connection",
    "ContendedError",
    "Fault",
    "MovedError",
    "StrangeError",
    "UnusableError",
    "classify",
]

_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_DAMAGED = (
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_FORMAT",
    "SQLITE_IOERR_SHORT_READ",
    "SQLITE_IOERR_CORRUPTFS",
    "SQLITE_READONLY_DBMOVED",
    "SQLITE_SCHEMA",
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
)


class Fault(Enum):
    """What to do about an error of the database."""

    BUSY = auto()
    """Somebody else works in it: try again shortly."""

    DAMAGED = auto()
    """Its bytes or its schema make no sense: look twice, then move it aside."""

    BROKEN = auto()
    """It cannot be used here: do without for the rest of this process."""


class AbsentError(Exception):
    """There is no database yet, and a reader does not make one."""


class ClosedError(Exception):
    """The connection was closed under its user: the interpreter is about to exit."""


class ContendedError(Exception):
    """Another process is inside the lock."""


class MovedError(Exception):
    """The path leads to another file than the one that is open."""


class StrangeError(sqlite3.DatabaseError):
    """A sound database that is not ours but another application's."""


class GarbledError(sqlite3.DatabaseError):
    """SQLite's message quotes a schema that is no text, so Python has no message."""


class Connection(sqlite3.Connection):
    """A connection whose errors are all SQLite's, whatever the file holds."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement; see `sqlite3.Connection.execute`."""
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:
            raise GarbledError("its schema is not text") from error


class UnusableError(Exception):
    """The place cannot be used as it is.

    Attributes:
        hint: The next step for the person who reads the warning.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def classify(error: sqlite3.Error) -> Fault:
    """Say what an error of SQLite means for the cache.

    An unknown name is BROKEN: nothing is moved aside for a reason we don't understand.
    """
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(_BUSY):
        return Fault.BUSY
    # SQLITE_ERROR alone is "no such table" or "no such column": not our schema.
    strange = isinstance(error, (StrangeError, GarbledError))
    if strange or name == "SQLITE_ERROR":
        return Fault.DAMAGED
    return Fault.DAMAGED if name.startswith(_DAMAGED) else Fault.BROKEN
