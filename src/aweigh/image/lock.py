"""What a resolution pinned: which wheels, from where, for one platform and Python."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aweigh.oci import Digest, Platform

__all__ = ["Lock", "LockedWheel", "normalised"]

_SEPARATORS = re.compile(r"[-_.]+")


def normalised(name: str) -> str:
    """Write a project's name in its one normal form (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedWheel:
    """One distribution file that a lock pins.

    Attributes:
        name: The project, normalised.
        version: Its version.
        filename: The file's name, which says what it runs on.
        url: Where it is; a path relative to the context for local files.
        digest: Its content.
        size: Its compressed size in bytes, or None when nobody said.
        step: The step of the spec whose index options it came from.
        first_party: Whether it is the user's own, and so changes most often.
    """

    name: str
    version: str
    filename: str
    url: str
    digest: Digest
    size: int | None
    step: int
    first_party: bool = False

    @property
    def is_wheel(self) -> bool:
        """Whether it can be unpacked as it is; a source distribution can not."""
        return self.filename.endswith(".whl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Everything a spec installs, pinned for one platform.

    Attributes:
        python: The Python version as ``X.Y``.
        platform: The platform.
        wheels: What is installed, in lock order: where two write one path, the later
            one wins.
        text: The lock as ``pylock.toml`` (PEP 751), without its tool's header, equal
            for equal resolutions.
    """

    python: str
    platform: Platform
    wheels: tuple[LockedWheel, ...]
    text: str
