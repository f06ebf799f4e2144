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

import struct
import time
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Final
from zlib import crc32

from aweigh.bundle.listing import Cursor, encode_rows, rows_of
from aweigh.errors import DamagedError, TreeError
from aweigh.oci.digest import Digest
from aweigh.tree.rows import SYMLINK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aweigh.tree.entry import Entry
    from aweigh.tree.rows import Rows

__all__ = ["ALONE", "Manifest", "Pack", "bundle_digest", "cut", "object_name"]

MAGIC: Final = b"aweigh bundle manifest 2\n"
# A pack of small files has between the smallest size and the largest, unless the tree
# or a large file ends it: few enough requests for a whole tree, and so little that one
# edit sends less than 256 KiB, listing and manifest included, however badly it packs.
SMALLEST: Final = 96 << 10
LARGEST: Final = 224 << 10
# Beyond the smallest size a pack ends after so many bytes on average.
_SPREAD: Final = 80 << 10
# A file from this size on is a pack of its own.
ALONE: Final = LARGEST
# More is not one bundle: whoever fetches it keeps all names in memory.
ENTRIES: Final = 2_000_000
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

    @classmethod
    def of(cls, pieces: Sequence[Rows]) -> tuple[Pack, bytes]:
        """Describe a pack of these entries, and write its listing.

        Raises:
            TreeError: An entry could not be unpacked anywhere.
        """
        listing = encode_rows(pieces)
        size = sum(sum(rows.sizes) for rows in pieces)
        return cls(Digest.of(listing), sum(map(len, pieces)), size), listing

    @property
    def name(self) -> str:
        """Name of the object that holds it; equal packs of all bundles are one."""
        return object_name(self.listing)


def object_name(listing: Digest) -> str:
    """Return the name of the object that holds the pack with this listing."""
    return f"packs/{listing.hex}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The packs of a bundle.

    Attributes:
        packs: In the order of their entries.
    """

    packs: tuple[Pack, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        """Divide sorted entries of any origin.

        Raises:
            TreeError: An entry is out of order, or could not be unpacked anywhere.
        """
        return cls.of_rows(rows_of(entries))

    @classmethod
    def of_rows(cls, batches: Iterable[Rows]) -> Manifest:
        """Divide the entries of a tree; blocking for a second a million.

        Raises:
            TreeError: An entry could not be unpacked anywhere, or there are too many.
        """
        packs: list[Pack] = []
        for pieces in cut(batches):
            packs.append(Pack.of(pieces)[0])
            # Whoever waits for the interpreter gets it, an event loop above all.
            time.sleep(0)
        count = sum(pack.count for pack in packs)
        if count > ENTRIES:
            raise TreeError(
                f"{count} files are more than the {ENTRIES} that a bundle can have",
                hint="leave some out with .aweighignore, or keep data elsewhere",
            )
        return cls(tuple(packs))

    @property
    def size(self) -> int:
        """Bytes of all contents."""
        return sum(pack.size for pack in self.packs)

    @property
    def entries(self) -> int:
        """How many entries all packs have."""
        return sum(pack.count for pack in self.packs)

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
            if not entries:
                raise _damaged("a pack is empty")
            packs.append(Pack(Digest(digest.hex()), entries, size))
        if not cursor.done:
            raise _damaged("bytes follow its last pack")
        if len({pack.listing for pack in packs}) != len(packs):
            raise _damaged("it names a pack twice")
        if sum(pack.count for pack in packs) > ENTRIES:
            raise _damaged(f"it has more than {ENTRIES} entries")
        return cls(tuple(packs))


def bundle_digest(entries: Iterable[Entry]) -> Digest:
    """Digest sorted entries of any origin, see `Manifest.of`."""
    return Manifest.of(entries).digest


def cut(batches: Iterable[Rows]) -> Iterator[list[Rows]]:
    """Divide sorted entries into packs, going through them once.

    Content-defined chunking of the list of paths, with FastCDC's limits (Xia et al.,
    USENIX ATC 2016): a CRC-32 of an entry's path decides whether a pack ends after it,
    as likely as the entry weighs, roughly. After an edit that moves an end, the next
    entries whose paths say so bring the old ends back.
    """
    inside: list[Rows] = []
    held = 0
    for rows in batches:
        start, index = 0, -1
        for light, size, path in zip(
            _weights(rows), rows.sizes, rows.paths, strict=True
        ):
            index += 1
            # Rounded up to three leading bits: a line more or less must not move an
            # end. Here, for a call takes as long as all the rest.
            bits = light.bit_length() - 3
            weight = -(-light >> bits) << bits
            if held + weight > LARGEST and (inside or start < index):
                if start < index:
                    inside.append(rows.part(start, index))
                yield inside
                inside, held, start = [], 0, index
            held += weight
            if held >= SMALLEST and (
                size >= ALONE or crc32(path) * _SPREAD < weight << 32
            ):
                inside.append(rows.part(start, index + 1))
                yield inside
                inside, held, start = [], 0, index + 1
        if start < len(rows):
            inside.append(rows.part(start, len(rows)))
    if inside:
        yield inside


def _weights(rows: Rows) -> Iterator[int]:
    """What entries weigh: their content, path and target, and something for each."""
    weights = map(add, map(len, rows.paths), rows.sizes)
    if rows.odd:
        weights = map(add, weights, map(_text, rows.kinds, rows.contents))
    return map(_PER_ENTRY.__add__, weights)


def _text(kind: int, content: bytes) -> int:
    return len(content) if kind == SYMLINK else 0


def _damaged(what: str) -> DamagedError:
    return DamagedError(
        f"not a canonical bundle manifest: {what}",
        hint="fetch it again; if it stays so, delete it from the store and upload anew",
    )
