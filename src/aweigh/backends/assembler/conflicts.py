"""Paths that several distributions of one layer write: the later one wins."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.backends.assembler.records import read_record
from aweigh.image.lock import normalised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aweigh.image.lock import LockedWheel

__all__ = ["Conflict", "find_conflicts", "settle"]

_INFO = ".dist-info"


@dataclass(frozen=True, slots=True)
class Conflict:
    """One path that distributions disagree about.

    Attributes:
        path: The path in the stage.
        writers: Who writes it, in lock order; the last one's content counts.
    """

    path: str
    writers: tuple[LockedWheel, ...]


def find_conflicts(stage: Path, wheels: Sequence[LockedWheel]) -> list[Conflict]:
    """List paths with different contents; blocks on the disk."""
    records = {
        normalised(info.name.partition("-")[0]): _contents(info / "RECORD")
        for info in stage.glob(f"*{_INFO}")
    }
    writers: dict[str, list[LockedWheel]] = {}
    contents: dict[str, set[str]] = {}
    for wheel in wheels:
        for path, said in records.get(wheel.name, {}).items():
            writers.setdefault(path, []).append(wheel)
            contents.setdefault(path, set()).add(said)
    return [
        Conflict(path, tuple(writers[path]))
        for path in sorted(contents)
        if len(contents[path]) > 1
    ]


def settle(stage: Path, conflict: Conflict, alone: Path) -> None:
    """Take a path from where the last writer was unpacked alone; blocks on the disk."""
    place = stage / conflict.path
    place.unlink(missing_ok=True)
    shutil.copy2(alone / conflict.path, place)


def _contents(record: Path) -> dict[str, str]:
    if not record.is_file():
        return {}
    text = record.read_bytes().decode("utf-8", "surrogateescape")
    return {row.path: row.hash for row in read_record(text) if row.hash}
