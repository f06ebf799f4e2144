"""What the assembler needs of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aweigh.image.publish import Manifests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from aweigh.oci import Descriptor, Digest, Reference

__all__ = ["Blobs", "Registry"]


class Blobs(Protocol):
    """The blobs of registries, as the distribution API offers them."""

    async def has_blob(self, reference: Reference, digest: Digest, /) -> bool:
        """Tell whether the reference's repository holds a blob."""
        ...

    async def read_blob(
        self, reference: Reference, descriptor: Descriptor, /, *, limit: int = ...
    ) -> bytes:
        """Return a small blob, verified."""
        ...

    def stream_blob(
        self, reference: Reference, descriptor: Descriptor, /
    ) -> AsyncGenerator[bytes, None]:
        """Yield a blob in pieces; the end verifies it."""
        ...

    async def mount_blob(
        self, reference: Reference, descriptor: Descriptor, mount_from: str, /
    ) -> bool:
        """Hold a blob of another repository of the registry without moving bytes."""
        ...

    async def push_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        source: bytes | Path,
        /,
        *,
        mount_from: str | None = None,
        name: str = "",
    ) -> bool:
        """Hold a blob; return whether bytes moved."""
        ...


class Registry(Manifests, Blobs, Protocol):
    """Manifests and blobs of registries."""
