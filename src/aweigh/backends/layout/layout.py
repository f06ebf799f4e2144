"""An OCI image layout, used like a registry (OCI image spec, image-layout.md).

Blobs are shared by all images of a layout; ``index.json`` names manifests by their full
references. A directory ``.aweigh`` of ours holds the lock and unfinished files.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from aweigh.backends.layout.blobs import Blobs, no_blob
from aweigh.backends.layout.faults import damaged, disk_faults
from aweigh.backends.layout.files import remove_leftovers, write_file
from aweigh.backends.layout.names import find_name, put_names
from aweigh.concurrency.file_lock import FileLock
from aweigh.errors import InvalidManifestError
from aweigh.events import silent
from aweigh.events.build import BlobPushed
from aweigh.oci import Index, describe, parse_manifest
from aweigh.oci.layout import INDEX_FILE, LAYOUT_FILE, blob_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from aweigh.events import Listener
    from aweigh.oci import Descriptor, Digest, Manifest, Reference

__all__ = ["ImageLayout"]

_VERSION: Final = "1.0.0"
_OURS: Final = ".aweigh"
_READ_LIMIT: Final = 8 << 20
# Names are written in milliseconds: whoever takes longer is stopped.
_LOCK_SECONDS: Final = 60.0


class ImageLayout:
    """The images in a directory.

    Every method raises LayoutError when the disk refuses, or the layout is damaged.
    Cancelling any of them leaves content that is there whole, or not at all.

    Args:
        root: The directory; made by the first write.
        listener: Hears of blobs, and of waiting for other processes.
    """

    def __init__(self, root: Path, *, listener: Listener = silent) -> None:
        self.root = root
        self._listener = listener
        self._workshop = root / _OURS
        self._blobs = Blobs(root, self._workshop)
        self._tidy = False

    async def head_manifest(
        self, reference: Reference, /, *, deadline: float | None = None
    ) -> Descriptor | None:
        """Say what a reference points at, or None when it is not there.

        Args:
            reference: What to look for.
            deadline: Not needed here.
        """
        del deadline
        found = await self.get_manifest(reference)
        return None if found is None else found[1]

    async def get_manifest(
        self, reference: Reference, /
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        """Return a verified document; None when it is not there, or is damaged.

        By name, an image of which something is missing is not there.
        """
        return await asyncio.to_thread(self._find, reference)

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> Descriptor:
        """Put a document under a tag or digest; what it points at must be there.

        Raises:
            LayoutError: Something it points at is missing.
            LockTimeoutError: Another process has been writing names for a minute.
        """
        descriptor = describe(content, media_type)
        document = parse_manifest(content, media_type)
        await self._prepare()
        await asyncio.to_thread(
            self._blobs.store_manifest, document, descriptor, content
        )
        if reference.digest is None:
            names = {str(reference): descriptor}
            if isinstance(document, Index):
                # So that tools which clean up keep what somebody has pinned, and all
                # tools find it (see `_mark`).
                names[descriptor.digest.hex] = descriptor
            await self._name(names)
        return descriptor

    async def has_blob(self, _reference: Reference, digest: Digest, /) -> bool:
        """Tell whether the layout holds a blob."""
        return await asyncio.to_thread(blob_path(self.root, digest).is_file)

    async def read_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        /,
        *,
        limit: int = _READ_LIMIT,
    ) -> bytes:
        """Return a small blob, verified."""
        if descriptor.size > limit:
            raise damaged(self.root, f"blob {descriptor.digest} of {reference} is huge")
        content = await asyncio.to_thread(self._blobs.read, descriptor.digest)
        if content is None or len(content) != descriptor.size:
            raise no_blob(self.root, descriptor.digest)
        return content

    async def stream_blob(
        self, _reference: Reference, descriptor: Descriptor, /
    ) -> AsyncGenerator[bytes, None]:
        """Yield a blob in pieces; the end verifies it."""
        async with aclosing(self._blobs.stream(descriptor)) as pieces:
            async for piece in pieces:
                yield piece

    async def mount_blob(
        self, reference: Reference, descriptor: Descriptor, _mount_from: str, /
    ) -> bool:
        """Tell whether the layout holds a blob: all its images share them."""
        return await self.has_blob(reference, descriptor.digest)

    async def push_blob(
        self,
        _reference: Reference,
        descriptor: Descriptor,
        source: bytes | Path,
        /,
        *,
        mount_from: str | None = None,
        name: str = "",
    ) -> bool:
        """Hold a blob; return whether it was not there before.

        Args:
            descriptor: The blob.
            source: Its content, or the file that has it and does not change.
            mount_from: Not needed here.
            name: What events call it; its digest by default.
        """
        del mount_from
        await self._prepare()
        added = await asyncio.to_thread(self._blobs.store, descriptor, source)
        self._listener(
            BlobPushed(
                layer=name or str(descriptor.digest),
                reused=not added,
                size=descriptor.size,
            )
        )
        return added

    def has_gaps(self, index: Index) -> bool:
        """Tell whether something is not there that an image consists of.

        Blocks for a question to the file system for each layer.
        """
        for entry in index.manifests:
            found = self._document(entry.digest)
            if found is None or self._blobs.missing(found[0]):
                return True
        return False

    def _find(
        self, reference: Reference
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        if reference.digest is not None:
            return self._document(reference.digest)
        named = find_name(self.root, str(reference))
        found = None if named is None else self._document(named.digest)
        # Whoever adds to an image by its name must not add to what is broken.
        if found and isinstance(found[0], Index) and self.has_gaps(found[0]):
            return None
        return found

    def _document(
        self, digest: Digest
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        content = self._blobs.read(digest)
        if content is None:
            return None
        try:
            media_type = str(json.loads(content)["mediaType"])
            document = parse_manifest(content, media_type)
        except (InvalidManifestError, ValueError, KeyError, TypeError):
            return None
        return document, describe(content, media_type), content

    async def _name(self, names: dict[str, Descriptor]) -> None:
        lock = FileLock(
            self._workshop, "names", purpose=f"naming images in {self.root}"
        )
        deadline = time.monotonic() + _LOCK_SECONDS
        async with lock.hold(listener=self._listener, wait_deadline=deadline):
            await _whole(lambda: put_names(self.root, names, workshop=self._workshop))

    async def _prepare(self) -> None:
        """Make the directory a layout; the first time, tidy it up."""
        if not await asyncio.to_thread(self._make):
            await self._name({})

    def _make(self) -> bool:
        """Make what is missing; say whether there is an index."""
        with disk_faults(self.root, "start an image"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            self._workshop.mkdir(mode=0o700, exist_ok=True)
            if not self._tidy:
                self._tidy = True
                remove_leftovers(self._workshop)
            self._mark()
            return (self.root / INDEX_FILE).exists()

    def _mark(self) -> None:
        marker = self.root / LAYOUT_FILE
        if not marker.exists():
            content = json.dumps({"imageLayoutVersion": _VERSION}).encode()
            write_file(marker, content, workshop=self._workshop)
            # Tools that know no digests split `PATH@sha256:HEX` at the colon, and look
            # for the name HEX (see `put_manifest`) in the directory `PATH@sha256`.
            with suppress(OSError):
                self.root.with_name(f"{self.root.name}@sha256").symlink_to(
                    self.root.name
                )


async def _whole(work: Callable[[], None]) -> None:
    """Do something in a thread and wait for its end, also when cancelled.

    What is locked while it works would otherwise be free too early.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
