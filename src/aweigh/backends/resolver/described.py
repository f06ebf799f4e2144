"""What the user's own wheels say of themselves: all that a resolution reads of them."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.backends.resolver.pylock import write_lock
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.archive.member import Member
    from aweigh.image.lock import Lock

__all__ = ["described", "with_content"]

_OWN = re.compile(r"steps/[0-9]+/(?:wheels|local/[^/]+)/[^/]+\.whl")
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


def described(members: Iterable[Member]) -> dict[str, Digest]:
    """Digest the metadata of wheels, by path in the context; blocks on the disk.

    Wheels that cannot be read are left out: their content counts.
    """
    found = {}
    for member in members:
        if _OWN.fullmatch(member.path) and isinstance(member.source, Path):
            digest = _metadata(member.source)
            if digest is not None:
                found[member.path] = digest
    return found


def _metadata(path: Path) -> Digest | None:
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if _METADATA.fullmatch(name)]
            return Digest.of(wheel.read(names[0])) if len(names) == 1 else None
    except (OSError, zipfile.BadZipFile):
        return None


def with_content(lock: Lock, members: Iterable[Member]) -> Lock:
    """Return a lock whose own wheels are what they are in this context."""
    here = {member.path: member for member in members}
    wheels = tuple(
        replace(one, digest=member.digest, size=member.size)
        if (member := here.get(one.url)) is not None and member.digest is not None
        else one
        for one in lock.wheels
    )
    if wheels == lock.wheels:
        return lock
    return replace(lock, wheels=wheels, text=write_lock(lock.python, wheels))
