"""The two objects of a bundle: its pack, one archive, and its compressed manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.archive.compress import unzstd, zstd_chunks
from aweigh.archive.member import Member
from aweigh.archive.tar import tar_chunks
from aweigh.bundle.manifest import decode, encode
from aweigh.errors import DamagedError
from aweigh.oci.digest import Digest
from aweigh.tree.entry import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from aweigh.tree.entry import Entry
    from aweigh.tree.scan import Tree

__all__ = ["Packing", "archive_bound", "manifest_object", "members", "open_manifest"]

# A manifest takes about 100 bytes for each entry: room for two million of them.
MANIFEST_LIMIT: Final = 256 << 20
# Level 1 keeps up with the reading of large trees; small ones are better packed for
# the same time. The level may only depend on the tree, or its bytes would differ.
_FAST_FROM: Final = 8 << 20
# Headers of a tar member: ustar, two pax blocks, padding.
_PER_MEMBER: Final = 4 << 10


class Packing:
    """A pack in the making: iterates over its bytes, and counts what went in.

    Blocking: iterate it in a worker thread. The bytes are a function of the entries
    and the version of zstd alone.

    Attributes:
        packed: Bytes of file contents packed so far.
    """

    def __init__(self, tree: Tree) -> None:
        """Prepare the pack of a tree; nothing is opened yet."""
        self._tree = tree
        self.packed = 0

    def __iter__(self) -> Generator[bytes, None, None]:
        """Read each file once and compare it with its entry's size and digest.

        Raises:
            ChangedError: A file is no longer what its entry says.
            TreeError: A file cannot be read.
        """
        level = 1 if self._tree.size > _FAST_FROM else 3
        yield from zstd_chunks(tar_chunks(self._counted()), level=level)

    def _counted(self) -> Iterator[Member]:
        for member in members(self._tree.entries, self._tree.source):
            yield member
            self.packed += member.size


def members(
    entries: Sequence[Entry], source: Callable[[Entry], Path] | None = None
) -> Iterator[Member]:
    """Say what of a pack each entry becomes.

    Args:
        entries: The entries.
        source: Says where a file's content is; None when only the names matter.
    """
    for entry in entries:
        content = source(entry) if source and entry.kind is Kind.FILE else None
        yield Member(
            path=entry.path,
            kind=entry.kind.value,
            executable=entry.executable,
            size=entry.size,
            target=entry.target,
            source=content,
            digest=entry.digest,
        )


def archive_bound(entries: Sequence[Entry]) -> int:
    """Bytes that an honest archive of these entries cannot exceed, packed or not."""
    names = sum(2 * len(entry.path) + 2 * len(entry.target) for entry in entries)
    content = sum(entry.size for entry in entries)
    bound = content + 4 * names + _PER_MEMBER * (len(entries) + 1)
    # zstd grows incompressible input by a few bytes for each frame.
    return bound + bound // 256


def manifest_object(entries: Sequence[Entry]) -> bytes:
    """Return what is stored as the manifest: the canonical encoding, compressed."""
    return b"".join(zstd_chunks([encode(entries)], level=3))


def open_manifest(stored: bytes, digest: Digest, *, name: str) -> tuple[Entry, ...]:
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
    return decode(encoded)
