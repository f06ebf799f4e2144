"""The blobs of a layout: files named by what is in them, shared by all images."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

from aweigh.backends.layout.faults import damaged, disk_faults
from aweigh.backends.layout.files import adopt_file, flush_directory, write_file
from aweigh.concurrency.files import opened
from aweigh.errors import LayoutError
from aweigh.oci import Digest, Index
from aweigh.oci.layout import blob_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from aweigh.oci import Descriptor, Manifest

__all__ = ["Blobs", "no_blob"]

_PIECE: Final = 1 << 20


class Blobs:
    """The blobs below a layout's root.

    All methods but `stream` block; each raises LayoutError when the disk refuses.

    Args:
        root: The layout.
        workshop: A directory of the same file system for unfinished files.
    """

    def __init__(self, root: Path, workshop: Path) -> None:
        self._root = root
        self._workshop = workshop

    def read(self, digest: Digest) -> bytes | None:
        """Return a small blob; None when it is not there, or is another."""
        with disk_faults(self._root, f"read blob {digest}"):
            try:
                content = blob_path(self._root, digest).read_bytes()
            except FileNotFoundError:
                return None
        return content if Digest.of(content) == digest else None

    async def stream(self, descriptor: Descriptor) -> AsyncGenerator[bytes, None]:
        """Yield a blob in pieces; the end verifies it."""
        hasher = hashlib.sha256()
        doing = f"read blob {descriptor.digest}"
        with disk_faults(self._root, doing):
            path = blob_path(self._root, descriptor.digest)
            file = await opened(path, "rb")
        with file:
            while True:
                with disk_faults(self._root, doing):
                    piece = await asyncio.to_thread(file.read, _PIECE)
                if not piece:
                    break
                await asyncio.to_thread(hasher.update, piece)
                yield piece
        if Digest(hasher.hexdigest()) != descriptor.digest:
            raise no_blob(self._root, descriptor.digest)

    def holds(self, digest: Digest, size: int) -> bool:
        """Tell whether a blob is there with this size."""
        try:
            return blob_path(self._root, digest).stat().st_size == size
        except OSError:
            return False

    def missing(self, document: Manifest | Index) -> list[Digest]:
        """List what a document points at and is not there, or not whole."""
        return [
            entry.digest
            for entry in _parts(document)
            if not self.holds(entry.digest, entry.size)
        ]

    def store(self, descriptor: Descriptor, source: bytes | Path) -> bool:
        """Hold a blob; return whether it was not there before."""
        if self.holds(descriptor.digest, descriptor.size):
            return False
        path = blob_path(self._root, descriptor.digest)
        with disk_faults(self._root, f"keep blob {descriptor.digest}"):
            if isinstance(source, bytes):
                write_file(path, source, workshop=self._workshop)
            else:
                adopt_file(path, source, workshop=self._workshop)
        return True

    def store_manifest(
        self, document: Manifest | Index, descriptor: Descriptor, content: bytes
    ) -> None:
        """Hold a document, when all that it points at is there.

        Raises:
            LayoutError: Something is not, or not whole.
        """
        self._refuse_gaps(document)
        path = blob_path(self._root, descriptor.digest)
        with disk_faults(self._root, f"keep manifest {descriptor.digest}"):
            # Also in place of an equal one: that may be damaged.
            write_file(path, content, workshop=self._workshop)
            flush_directory(path.parent)

    def _refuse_gaps(self, document: Manifest | Index) -> None:
        gone = self.missing(document)
        for digest in gone:
            # What is there with another size would be taken for whole again.
            with disk_faults(self._root, f"remove blob {digest}"):
                blob_path(self._root, digest).unlink(missing_ok=True)
        if gone:
            raise LayoutError(
                f"blob {gone[0]} in the image layout {self._root} is not whole",
                hint="it is removed now: run this again, and it is made anew",
            )


def no_blob(root: Path, digest: Digest) -> LayoutError:
    """Return the error for a blob that was promised."""
    return damaged(root, f"blob {digest} is not there whole")


def _parts(document: Manifest | Index) -> Iterable[Descriptor]:
    if isinstance(document, Index):
        return document.manifests
    return (document.config, *document.layers)
