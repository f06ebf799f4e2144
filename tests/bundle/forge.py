"""Forges bundles that no upload would make, byte by byte."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard

from aweigh.oci.digest import Digest
from aweigh.testing.store import MemoryStore
from tests.bundle.judge import MANIFEST, Line, listing_of, text, u64


def plain(path: bytes, content: bytes = b"", *, kind: bytes = b"f") -> Line:
    """Return a file's line of a listing."""
    return path, kind, u64(len(content)) + hashlib.sha256(content).digest()


def link(path: bytes, target: bytes) -> Line:
    """Return a symlink's line of a listing."""
    return path, b"l", text(target)


def folder(path: bytes) -> Line:
    """Return an empty directory's line of a listing."""
    return path, b"d", b""


def zstd(body: bytes) -> bytes:
    """Compress in one frame."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(body)


@dataclass(slots=True)
class Forged:
    """A pack, honest as long as nobody says otherwise.

    Attributes:
        listing: Its listing.
        content: What follows that.
        count: Entries that the manifest says it has.
        size: Bytes that the manifest says it has.
        stored: The object, when it is not the compressed listing and content.
    """

    listing: bytes
    content: bytes = b""
    count: int = 1
    size: int = 0
    stored: bytes | None = None

    @property
    def body(self) -> bytes:
        """What is in the store."""
        if self.stored is not None:
            return self.stored
        return zstd(u64(len(self.listing)) + self.listing + self.content)


def pack(*lines: Line, content: bytes = b"", stored: bytes | None = None) -> Forged:
    """Make a pack of these lines, in this order."""
    size = sum(
        int.from_bytes(rest[:8], "big") for _, kind, rest in lines if kind in b"fx"
    )
    listing = listing_of([(line, 0) for line in lines])
    return Forged(listing, content, len(lines), size, stored)


def manifest_of(packs: Sequence[Forged], *, count: int | None = None) -> bytes:
    """Write the manifest of packs, in this order."""
    told = MANIFEST + u64(len(packs) if count is None else count)
    for each in packs:
        told += hashlib.sha256(each.listing).digest() + u64(each.count) + u64(each.size)
    return told


def put(store: MemoryStore, packs: Sequence[Forged], manifest: bytes) -> Digest:
    """Put packs and a manifest under the names that they must have."""
    for each in packs:
        name = hashlib.sha256(each.listing).hexdigest()
        store.objects[f"packs/{name}"] = each.body
    digest = Digest.of(manifest)
    store.objects[f"bundles/{digest.hex}/manifest"] = zstd(manifest)
    return digest
