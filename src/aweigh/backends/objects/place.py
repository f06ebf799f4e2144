"""Where objects are kept that are somewhere else, or in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Handle

__all__ = ["Remote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A place as handles of obstore's, which open connections when they are used.

    Attributes:
        handle: For everything but uploads in parts.
        parts: For uploads in parts.
    """

    handle: Handle
    parts: Handle
