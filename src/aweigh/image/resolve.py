"""What a resolver is asked for and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aweigh.image.lock import Lock
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec
    from aweigh.oci import Platform

__all__ = ["ResolveRequest", "Resolver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveRequest:
    """The Python packages of one spec, to be pinned for one platform.

    Attributes:
        spec: What is wanted.
        snapshot: The files the spec names, as they were digested.
        platform: The platform to pin for; the machine's own does not matter.
        python: The Python of the image as ``X.Y``.
        manylinux: The newest libc that wheels may ask for, as in wheel tags:
            ``manylinux_2_36``, ``musllinux_1_2``.
        upgrade: Take the newest versions, whatever was pinned before.
        previous: The text of an earlier lock, whose versions are kept where they still
            fit; None when there is none.
        beneath: The text of the lock of the image that it is all put on. Its versions
            are kept where they still fit, also with ``upgrade``; None when it is none
            of ours.
    """

    spec: ImageSpec
    snapshot: Snapshot
    platform: Platform
    python: str
    manylinux: str
    upgrade: bool = False
    previous: str | None = None
    beneath: str | None = None


class Resolver(Protocol):
    """Pins what a spec installs."""

    async def resolve(self, request: ResolveRequest, /) -> Lock:
        """Decide every version and file; downloads metadata and installs nothing.

        Cancelling ends the work at once and leaves nothing behind.

        Raises:
            ResolveError: No set of versions fits, or an index gave no answer.
            SpecError: A step cannot be resolved for this platform or Python.
        """
        ...
