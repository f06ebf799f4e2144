"""What `aweigh doctor` finds: one thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from aweigh.errors import AweighError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Finding", "Level", "looked"]

T = TypeVar("T", bound="Finding | None")

Level = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        detail: What was found.
        level: ``FAIL`` when something that is asked for does not work, ``note`` when
            something is missing that these settings can do without.
        hint: What mends it, when there is something to mend.
    """

    name: str
    detail: str
    level: Level = "ok"
    hint: str = ""


async def looked(name: str, look: Callable[[], Awaitable[T]]) -> T | Finding:
    """Look at something; our own errors are findings."""
    try:
        return await look()
    except AweighError as error:
        return Finding(name=name, detail=str(error), level="FAIL", hint=error.hint)
