"""What is asked of whoever holds images: registries, or a layout on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from aweigh.oci import Descriptor, Digest, Index, Manifest, Reference

__all__ = ["Blobs", "Manifests", "Registry"]


class Manifests(Protocol):
    """The manifests of registries, as the distribution API offers them."""

    async def head_manifest(
        self, reference: Reference, /, *, deadline: float | None = None
    ) -> Descriptor | None:
        """Say what a reference points at, or None when it is not there."""
        ...

    async def get_manifest(
        self, reference: Reference, /
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        """Return a verified document, or None when it is not there."""
        ...

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> Descriptor:
        """Put a document under a tag or digest."""
        ...


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
