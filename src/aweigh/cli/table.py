"""Tables that fit the terminal, and are one line per row where there is none."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["print_table", "table"]

_GAP: Final = "  "
_INDENT: Final = "  "
_NARROW: Final = 24


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their header; people's terminals wrap the last column."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table(header, rows, width):
        print(line)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None
) -> Iterator[str]:
    """Lay out a table: the last column gets what the others leave.

    Args:
        header: The names of the columns.
        rows: The cells.
        width: Columns of the terminal; None: lines may be as long as they are.
    """
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths = [min(each, _NARROW) for each in widths[:-1]]
        rest = width - len(_INDENT) - sum(widths) - len(_GAP) * len(widths)
        widths.append(max(rest, _NARROW))
    for row in cells:
        yield from _lines(row, widths)


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    wrapped = [
        textwrap.wrap(cell, each, break_on_hyphens=False) or [""]
        for cell, each in zip(row, widths, strict=True)
    ]
    for number in range(max(map(len, wrapped))):
        parts = [
            (lines[number] if number < len(lines) else "").ljust(each)
            for lines, each in zip(wrapped, widths, strict=True)
        ]
        yield (_INDENT + _GAP.join(parts)).rstrip()
