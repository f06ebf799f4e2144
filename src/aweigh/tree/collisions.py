"""Finds names of one directory that are one name on some file systems."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from aweigh.tree.names import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["colliding"]

# Hashes that are told apart when names are too many to keep: of a million names, some
# ten thousand are then looked at more closely.
_SLOTS: Final = 1 << 24


def colliding(names: Callable[[], Iterable[str]], count: int) -> list[tuple[str, ...]]:
    """Group names that are equal but for case or Unicode's composed forms.

    Args:
        names: Goes through them, as often as it is called.
        count: How many there are.
    """
    suspects = names() if count <= AT_ONCE else _suspects(names)
    groups: dict[str, list[str]] = {}
    listed = list(suspects)
    if _all_differ(listed):
        return []
    for name in listed:
        groups.setdefault(_folded(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _all_differ(names: list[str]) -> bool:
    return "".join(names).isascii() and len(set(map(str.lower, names))) == len(names)


def _suspects(names: Callable[[], Iterable[str]]) -> list[str]:
    """The names whose folded form has the same hash as another's, or nearly."""
    slots = bytearray(_SLOTS)
    for name in names():
        slot = hash(_folded(name)) % _SLOTS
        slots[slot] = min(slots[slot] + 1, 2)
    return [name for name in names() if slots[hash(_folded(name)) % _SLOTS] > 1]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
