"""The canonical manifest of a bundle: the packs that hold it, by their listings.

::

    manifest = "aweigh bundle manifest 2" LF, number of packs (u64), pack*
    pack     = SHA-256 of its listing (32 bytes), entries (u64), content bytes (u64)

Numbers are big-endian. A listing (`aweigh.bundle.listing`) holds the digest of each
file's content, so the digest of a bundle, the SHA-256 of these bytes, covers all of it.

Where one pack ends and the next begins is a function of the sorted entries (`cut`),
and only of the few entries before: an edit changes its own pack and no other, and two
trees have the same digest exactly when they have the same entries.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.bundle.listing import Cursor, SortedNames, encode
from aweigh.errors import DamagedError, TreeError
from aweigh.oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aweigh.tree.entry import Entry

__all__ = ["ALONE", "Manifest", "Pack", "bundle_digest", "cut"]

MAGIC: Final = b"aweigh bundle manifest 2\n"
# A pack of small files has between the smallest size and the largest, unless the tree
# or a large file ends it: few enough requests for a whole tree, and so little that one
# edit sends less than 256 KiB, listing and manifest included, however badly it packs.
SMALLEST: Final = 64 << 10
LARGEST: Final = 224 << 10
# Beyond the smallest size a pack ends after so many bytes on average.
_SPREAD: Final = 96 << 10
# A file from this size on is a pack of its own.
ALONE: Final = LARGEST
# What an entry weighs besides its content, path and target.
_PER_ENTRY: Final = 64

_COUNT: Final = struct.Struct(">Q")
_PACK: Final = struct.Struct(">32sQQ")


@dataclass(frozen=True, slots=True)
class Pack:
    """What a manifest says of one pack.

    Attributes:
        listing: The digest of its listing, which is the pack's name.
        count: How many entries it has.
        size: Bytes of their contents.
    """

    listing: Digest
    count: int
    size: int

    @property
    def name(self) -> str:
        """Name of the object that holds it; equal packs of all bundles are one."""
        return f"packs/{self.listing.hex}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The packs of a bundle.

    Attributes:
        packs: In the order of their entries.
    """

    packs: tuple[Pack, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        """Divide a tree's sorted entries; blocking for a second a million.

        Raises:
            TreeError: An entry cannot be in a bundle.
        """
        packs: list[Pack] = []
        for inside in cut(entries):
            listing = Digest.of(encode(inside))
            packs.append(
                Pack(listing, len(inside), sum(entry.size for entry in inside))
            )
        return cls(tuple(packs))

    @property
    def size(self) -> int:
        """Bytes of all contents."""
        return sum(pack.size for pack in self.packs)

    @property
    def digest(self) -> Digest:
        """The bundle's digest."""
        return Digest.of(self.encode())

    def encode(self) -> bytes:
        """Write the canonical encoding, whose digest is the bundle's."""
        encoded = bytearray(MAGIC + _COUNT.pack(len(self.packs)))
        for pack in self.packs:
            digest = bytes.fromhex(pack.listing.hex)
            encoded += _PACK.pack(digest, pack.count, pack.size)
        return bytes(encoded)

    @classmethod
    def decode(cls, encoded: bytes) -> Manifest:
        """Read what `encode` wrote.

        Raises:
            DamagedError: It is nothing else than that.
        """
        cursor = Cursor(encoded)
        if cursor.take(len(MAGIC)) != MAGIC:
            raise _damaged("it does not begin like one of this version")
        (count,) = _COUNT.unpack(cursor.take(_COUNT.size))
        packs: list[Pack] = []
        while len(packs) < count:
            digest, entries, size = _PACK.unpack(cursor.take(_PACK.size))
            packs.append(Pack(Digest(digest.hex()), entries, size))
        if not cursor.done:
            raise _damaged("bytes follow its last pack")
        if len({pack.listing for pack in packs}) != len(packs):
            raise _damaged("it names a pack twice")
        return cls(tuple(packs))


def bundle_digest(entries: Sequence[Entry]) -> Digest:
    """Digest a tree's sorted entries without holding their encoding in memory.

    Raises:
        TreeError: The entries are not sorted, or one could not be unpacked anywhere.
    """
    names = SortedNames()
    for entry in entries:
        wrong = names.add(os.fsencode(entry.path), entry.path, entry.kind)
        if wrong:
            raise TreeError(
                f"{entry.path!r} {wrong}: it cannot be in a bundle",
                hint="rename it, or leave it out with an exclude pattern",
                paths=[entry.path],
            )
    return Manifest.of(entries).digest


def cut(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Divide sorted entries into packs, going through them once.

    Content-defined chunking of the list of paths, with FastCDC's limits (Xia et al.,
    USENIX ATC 2016): a CRC-32 of an entry's path decides whether a pack ends after it,
    as likely as the entry weighs, roughly. After an edit that moves an end, the next
    entries whose paths say so bring the old ends back.
    """
    inside: list[Entry] = []
    held = 0
    for entry in entries:
        path = os.fsencode(entry.path)
        weight = _coarse(_PER_ENTRY + entry.size + len(path) + len(entry.target))
        alone = entry.size >= ALONE
        if inside and (alone or held + weight > LARGEST):
            yield inside
            inside, held = [], 0
        inside.append(entry)
        held += weight
        drawn = held >= SMALLEST and zlib.crc32(path) * _SPREAD < weight << 32
        if alone or drawn:
            yield inside
            inside, held = [], 0
    if inside:
        yield inside


def _coarse(weight: int) -> int:
    """Round up to three leading bits: a line more or less must not move an end."""
    step = 1 << max(0, weight.bit_length() - 3)
    return -(-weight // step) * step


def _damaged(what: str) -> DamagedError:
    return DamagedError(
        f"not a canonical bundle manifest: {what}",
        hint="fetch it again; if it stays so, delete it from the store and upload anew",
    )
