"""What the wheels of a stage say they consist of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.backends.assembler.wheels.records import Row, read_record
from aweigh.image.lock import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from aweigh.image.lock import LockedWheel

__all__ = ["Installed", "read_installed"]

_INFO = ".dist-info"


@dataclass(frozen=True, slots=True, eq=False)
class Installed:
    """A distribution in a stage.

    Attributes:
        wheel: What was installed.
        rows: Its RECORD, by path in the stage.
    """

    wheel: LockedWheel
    rows: Mapping[str, Row]


def read_installed(stage: Path, wheels: Iterable[LockedWheel]) -> list[Installed]:
    """Read the RECORDs of a stage, in the order of the wheels; blocks on the disk."""
    records = {
        normalised(info.name.partition("-")[0]): info / "RECORD"
        for info in stage.glob(f"*{_INFO}")
    }
    return [
        Installed(wheel, _rows(records[wheel.name]))
        for wheel in wheels
        if wheel.name in records
    ]


def _rows(record: Path) -> dict[str, Row]:
    if not record.is_file():
        return {}
    text = record.read_bytes().decode("utf-8", "surrogateescape")
    return {row.path: row for row in read_record(text)}
