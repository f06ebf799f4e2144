"""The two kinds of objects of a bundle: packs, and the manifest that names them.

::

    pack     = zstd(length of the listing (u64), listing, content of each file in order)
    manifest = zstd(the canonical manifest)

A pack is named by its listing, and its listing says what must be in it: whoever reads
it can verify every byte, whatever version of zstd compressed it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.archive.compress import FRAME, unzstd, zstd_chunks, zstd_frame
from aweigh.archive.content import CHUNK, content, proven
from aweigh.archive.member import Member
from aweigh.bundle.listing import encode_rows
from aweigh.bundle.manifest import Manifest
from aweigh.errors import DamagedError
from aweigh.oci.digest import Digest
from aweigh.tree.rows import EXECUTABLE, PLAIN

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from aweigh.bundle.manifest import Pack
    from aweigh.tree.rows import Rows
    from aweigh.tree.scan import Tree

__all__ = [
    "LENGTH",
    "LISTING_LIMIT",
    "MANIFEST_LIMIT",
    "Packing",
    "manifest_object",
    "open_manifest",
    "pack_bound",
    "packed",
]

# A manifest takes 48 bytes for each pack: room for as many as there may be entries.
MANIFEST_LIMIT: Final = 96 << 20
LENGTH: Final = struct.Struct(">Q")
# Level 1 keeps up with the reading of large files; small ones are better packed for
# the same time. The level may only depend on what is packed, or its bytes would differ.
_FAST_FROM: Final = 8 << 20
_LEVEL: Final = 3
# Far more than a pack's largest listing, whose paths count for where it is cut.
LISTING_LIMIT: Final = 1 << 20
_FILES: Final = frozenset({PLAIN, EXECUTABLE})


class Packing:
    """A pack in the making: iterates over its bytes, and counts what went in.

    Blocking: iterate it in a worker thread. The bytes are a function of the entries
    and the version of zstd alone.

    Attributes:
        packed: Bytes of file contents packed so far.
    """

    def __init__(
        self, tree: Tree, pieces: Sequence[Rows], *, threads: int | None = None
    ) -> None:
        """Prepare a pack of some of a tree's entries; nothing is opened yet.

        Args:
            tree: Says where the contents are.
            pieces: What goes in.
            threads: Frames of 4 MiB compressed side by side; the processors when None.
        """
        self._tree = tree
        self._root = os.fsencode(tree.root) + b"/"
        self._pieces = pieces
        self._threads = threads
        self._size = sum(sum(rows.sizes) for rows in pieces)
        self.packed = 0

    def __iter__(self) -> Generator[bytes, None, None]:
        """Pack what the scan kept, and read the rest, each file once.

        What is read must have the entry's size and digest; what was kept has.

        Raises:
            ChangedError: A file is no longer what its entry says.
            TreeError: A file cannot be read.
        """
        level = 1 if self._size > _FAST_FROM else _LEVEL
        yield from zstd_chunks(self._raw(), level=level, threads=self._threads)

    def whole(self) -> bytes:
        """Return the same bytes in one piece; for packs that memory can hold.

        Raises:
            ChangedError: A file is no longer what its entry says.
            TreeError: A file cannot be read.
        """
        if self._size > FRAME - LISTING_LIMIT:
            return b"".join(self)
        return zstd_frame(b"".join(self._raw()), level=_LEVEL)

    def _raw(self) -> Iterator[bytes]:
        listing = encode_rows(self._pieces)
        yield LENGTH.pack(len(listing)) + listing
        for rows in self._pieces:
            files = zip(rows.paths, rows.kinds, rows.sizes, rows.contents, strict=True)
            for path, kind, size, digest in files:
                if kind in _FILES:
                    for piece in self._content(path, size, digest):
                        yield piece
                        self.packed += len(piece)

    def _content(self, path: bytes, size: int, digest: bytes) -> Iterable[bytes]:
        tree = self._tree
        read = tree.kept.take(path)
        if read is None and size < CHUNK and not tree.follow:
            read = proven(self._root + path, size, digest)
        if read is not None:
            return (read,)
        shown = os.fsdecode(path)
        source = Path(tree.root, shown)
        return content(
            Member(
                path=shown,
                kind="file",
                size=size,
                source=source.resolve() if tree.follow else source,
                digest=Digest(digest.hex()),
            )
        )


def packed(listing: bytes, contents: Iterable[bytes]) -> bytes:
    """Make a pack of at most 4 MiB that was read already; the same as `Packing` does.

    Args:
        listing: The canonical listing.
        contents: Of its files, in order.
    """
    head = LENGTH.pack(len(listing))
    return zstd_frame(b"".join((head, listing, *contents)), level=_LEVEL)


def pack_bound(pack: Pack) -> int:
    """Bytes that an honest pack cannot exceed, compressed or not."""
    bound = LENGTH.size + LISTING_LIMIT + pack.size
    # zstd grows incompressible input by a few bytes for each frame.
    return bound + bound // 256 + 1024


def manifest_object(manifest: Manifest) -> bytes:
    """Return what is stored as the manifest: the canonical encoding, compressed."""
    return b"".join(zstd_chunks([manifest.encode()], level=3))


def open_manifest(stored: bytes, digest: Digest, *, name: str) -> Manifest:
    """Read a stored manifest that must have this digest.

    Args:
        stored: The object's bytes.
        digest: The bundle's digest.
        name: The object, for the message.

    Raises:
        DamagedError: It is another one, damaged, or not canonical.
    """
    try:
        encoded = b"".join(unzstd([stored], limit=MANIFEST_LIMIT))
    except DamagedError as error:
        raise DamagedError(f"{name}: {error}", hint=error.hint) from error
    found = Digest.of(encoded)
    if found != digest:
        raise DamagedError(
            f"{name} has digest {found} instead of {digest}",
            hint="delete this object from the store and upload the bundle anew",
        )
    return Manifest.decode(encoded)
