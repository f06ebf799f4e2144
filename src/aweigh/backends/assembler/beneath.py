"""What an image of ours has installed already, when another is put on it."""

from __future__ import annotations

import asyncio
import tarfile
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aweigh.backends.assembler.layers.environment import lock_in
from aweigh.errors import DamagedError
from aweigh.image.lock import normalised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.backends.assembler.bases.base import Base
    from aweigh.image.lock import Lock, LockedWheel
    from aweigh.image.registry import Blobs
    from aweigh.image.segments import Prefix

__all__ = ["Above", "read_lock", "what_is_left"]

# A lock of a thousand packages is half of that, and shares its layer with little.
_COMPRESSED_LIMIT: Final = 2 << 20
_PLAIN_LIMIT: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Above:
    """What is still to be installed.

    Attributes:
        wheels: All of it, in lock order.
        replaced: Those of them that are below with other content.
    """

    wheels: tuple[LockedWheel, ...]
    replaced: tuple[LockedWheel, ...]


async def read_lock(registry: Blobs, base: Base) -> str | None:
    """Read the lock of an image's environment; None when none is found.

    The uppermost counts. It is in a small layer, whoever built the image.

    Raises:
        RegistryError: A layer could not be read.
    """
    for layer in reversed(base.manifest.layers):
        if layer.size > _COMPRESSED_LIMIT:
            continue
        content = await registry.read_blob(
            base.reference, layer, limit=_COMPRESSED_LIMIT
        )
        text = await asyncio.to_thread(_find, content)
        if text is not None:
            return text
    return None


def what_is_left(lock: Lock, prefix: Prefix, below: str) -> Above:
    """Compare what is wanted with the lock of the image below.

    The user's own packages are the same when their step is: they may be built anew for
    each lock, and what they are built from is part of the image's name.
    """
    had = {
        normalised(str(one.get("name"))): one
        for one in tomllib.loads(below).get("packages", [])
    }
    wheels = []
    for wheel in lock.wheels:
        own = wheel.first_party and wheel.step in prefix.steps
        if wheel.name not in had or not (own or _is_it(had[wheel.name], wheel)):
            wheels.append(wheel)
    replaced = tuple(wheel for wheel in wheels if wheel.name in had)
    return Above(tuple(wheels), replaced)


def _is_it(package: Mapping[str, Any], wheel: LockedWheel) -> bool:
    vcs = package.get("vcs")
    if vcs:
        return str(vcs.get("commit-id")) in wheel.url
    files = [package.get("sdist"), package.get("archive"), *package.get("wheels", [])]
    hashes = {file["hashes"].get("sha256") for file in files if file}
    return package.get("version", "") == wheel.version and wheel.digest.hex in hashes


def _find(content: bytes) -> str | None:
    try:
        return lock_in(content, limit=_PLAIN_LIMIT)
    except (DamagedError, tarfile.TarError):
        # Far more than its compressed size: no layer that holds little but a lock.
        return None
