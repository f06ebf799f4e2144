"""Images in a layout and their bases in registries, behind one face."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from aweigh.image.registry import Registry
    from aweigh.oci import Descriptor, Digest, Index, Manifest, Reference

__all__ = ["RoutedRegistry"]


class RoutedRegistry:
    """Sends each call to the layout or to the registries, by the reference's host.

    Args:
        host: The host that stands for the layout.
        layout: Holds the images of that host.
        registries: Hold all others.
    """

    def __init__(self, host: str, layout: Registry, registries: Registry) -> None:
        self._host = host
        self._layout = layout
        self._registries = registries

    def _of(self, reference: Reference) -> Registry:
        return self._layout if reference.registry == self._host else self._registries

    async def head_manifest(
        self, reference: Reference, /, *, deadline: float | None = None
    ) -> Descriptor | None:
        """Ask whoever holds the reference."""
        return await self._of(reference).head_manifest(reference, deadline=deadline)

    async def get_manifest(
        self, reference: Reference, /
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        """Read from whoever holds the reference."""
        return await self._of(reference).get_manifest(reference)

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> Descriptor:
        """Write to whoever holds the reference."""
        return await self._of(reference).put_manifest(reference, content, media_type)

    async def has_blob(self, reference: Reference, digest: Digest, /) -> bool:
        """Ask whoever holds the reference."""
        return await self._of(reference).has_blob(reference, digest)

    async def read_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        /,
        *,
        limit: int | None = None,
    ) -> bytes:
        """Read from whoever holds the reference; without a limit, with its own."""
        place = self._of(reference)
        if limit is None:
            return await place.read_blob(reference, descriptor)
        return await place.read_blob(reference, descriptor, limit=limit)

    def stream_blob(
        self, reference: Reference, descriptor: Descriptor, /
    ) -> AsyncGenerator[bytes, None]:
        """Read from whoever holds the reference."""
        return self._of(reference).stream_blob(reference, descriptor)

    async def mount_blob(
        self, reference: Reference, descriptor: Descriptor, mount_from: str, /
    ) -> bool:
        """Ask whoever holds the reference; nothing is mounted between holders."""
        return await self._of(reference).mount_blob(reference, descriptor, mount_from)

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
        """Write to whoever holds the reference."""
        return await self._of(reference).push_blob(
            reference, descriptor, source, mount_from=mount_from, name=name
        )
