"""The times that an engine writes before the lines of its logs."""

from __future__ import annotations

import datetime as dt

__all__ = ["parse_stamp"]


def parse_stamp(stamp: str) -> dt.datetime | None:
    """Read RFC 3339 with nanoseconds, of which a datetime keeps the microseconds."""
    try:
        return dt.datetime.fromisoformat(stamp)
    except ValueError:
        return None
