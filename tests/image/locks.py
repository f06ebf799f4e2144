"""Locks made by hand, for tests of what is planned and rendered from them."""

import hashlib
from collections.abc import Iterable

from aweigh.image.lock import Lock, LockedWheel
from aweigh.oci import Digest, Platform

MEGABYTE = 1_000_000


def make_locked(
    name: str,
    size: int | None = 1000,
    *,
    version: str = "1.0",
    step: int = 0,
    first_party: bool = False,
    suffix: str = "-py3-none-any.whl",
) -> LockedWheel:
    """Pin a file that exists nowhere; its digest follows from name and version."""
    filename = f"{name.replace('-', '_')}-{version}{suffix}"
    folder = f"steps/{step}/wheels" if first_party else "https://i.example/f"
    return LockedWheel(
        name=name,
        version=version,
        filename=filename,
        url=f"{folder}/{filename}",
        digest=Digest(hashlib.sha256(filename.encode()).hexdigest()),
        size=size,
        step=step,
        first_party=first_party,
    )


def make_lock(wheels: Iterable[LockedWheel]) -> Lock:
    """Lock these files for an amd64 machine."""
    held = tuple(wheels)
    text = 'lock-version = "1.0"\n' + "".join(f"# {one.filename}\n" for one in held)
    return Lock(
        python="3.12", platform=Platform.parse("linux/amd64"), wheels=held, text=text
    )
