"""Unpacks verified packs, side by side, into a directory that nobody sees yet.

A pack may be hostile, and so may be the manifest of a URI that a stranger gave: no path
or link leaves the directory, nothing is written through a symlink, and what is written
is bounded by what the manifest says, what came, and what there is room for. Contents
are checked while they are written.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Final

from aweigh.archive.compress import unzstd
from aweigh.archive.escapes import refuse_escapes
from aweigh.archive.member import Names
from aweigh.bundle.folder import Folder
from aweigh.bundle.listing import decode
from aweigh.bundle.marker import MARKER
from aweigh.bundle.pack import LENGTH, LISTING_LIMIT, pack_bound
from aweigh.errors import DamagedError, TreeError
from aweigh.oci.digest import Digest
from aweigh.tree.entry import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from aweigh.bundle.manifest import Manifest, Pack
    from aweigh.tree.entry import Entry

__all__ = ["Unpacking"]

_PIECE: Final = 1 << 20
# What unpacks to more than this may not be more than so many times what was downloaded:
# a terabyte of zeros takes 40 MB. Both count over the packs so far.
_ALLOWANCE: Final = 512 << 20
_RATIO: Final = 1000
# Characters of all names, those of parents included, for they are kept in memory.
_NAMES: Final = 256 << 20
_FILE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Unpacking:
    """One directory in the making; its methods block, and `pack` may run in threads."""

    def __init__(self, tree: Path) -> None:
        """Name a directory, which is made when the first pack comes."""
        self._tree = tree
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._names = Names()
        self._unpacked = 0
        self._downloaded = 0
        self._made: set[str] = set()
        self._links: dict[str, str] = {}
        self._ends: dict[Digest, tuple[bytes, bytes]] = {}

    def stop(self) -> None:
        """Make every running `pack` fail at its next piece."""
        self._stopped.set()

    def make_sure(self, manifest: Manifest) -> None:
        """Look whether there is room for all files, before any of them is written.

        Raises:
            TreeError: There is not.
        """
        found = os.statvfs(self._tree.parent)
        # Some file systems have as many files as there is room for.
        files = found.f_favail if found.f_files else manifest.entries
        room = found.f_bavail * found.f_frsize
        if manifest.size > room or manifest.entries > files:
            raise TreeError(
                f"{manifest.entries} files with {manifest.size} bytes do not fit where "
                f"there is room for {files} with {room}",
                hint="make room, or fetch to another file system",
            )

    def pack(self, path: Path, pack: Pack) -> None:
        """Unpack one pack; each may be unpacked once.

        Raises:
            DamagedError: It is not what the manifest says, or leaves the directory.
            TreeError: The file system does not take a file.
            InterruptedError: It was told to stop.
        """
        self._weigh(path, pack)
        stream = _Stream(unzstd(self._pieces(path), limit=pack_bound(pack)))
        entries = _listing(stream, pack)
        self._admit(pack, entries)
        shown = ""
        folder = Folder(self._tree)
        try:
            with self._lock:
                folder.open(self._made)
            for entry in entries:
                shown = entry.path
                parent, _, name = shown.rpartition("/")
                if entry.kind is Kind.FILE:
                    self._enter(folder, parent)
                    _write(stream, entry, name, folder.descriptor)
                else:
                    is_folder = entry.kind is Kind.DIRECTORY
                    self._enter(folder, shown if is_folder else parent)
        except OSError as error:
            if isinstance(error, InterruptedError):
                raise
            raise _untaken(shown, error) from error
        finally:
            folder.close()
        stream.finish()

    def finish(self, manifest: Manifest) -> None:
        """Make the symlinks, last of all, so that nothing was written through one.

        Raises:
            DamagedError: One leaves the directory, or the packs are out of order.
            TreeError: The file system does not take one.
        """
        before = b""
        for pack in manifest.packs:
            first, last = self._ends[pack.listing]
            if first <= before:
                raise _damaged(f"{os.fsdecode(first)!r} is out of order")
            before = last
        refuse_escapes(self._links)
        for path, target in self._links.items():
            try:
                (self._tree / path).symlink_to(target)
            except OSError as error:
                raise _untaken(path, error) from error

    def _weigh(self, path: Path, pack: Pack) -> None:
        """Refuse what is much more than it was."""
        downloaded = path.stat().st_size
        with self._lock:
            self._unpacked += pack.size
            self._downloaded += downloaded
            if self._unpacked > max(_ALLOWANCE, _RATIO * self._downloaded):
                raise _damaged(
                    f"{self._downloaded} bytes unpack to {self._unpacked}: "
                    f"more than {_RATIO} times as many"
                )

    def _pieces(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                if self._stopped.is_set():
                    raise InterruptedError
                yield piece

    def _admit(self, pack: Pack, entries: Sequence[Entry]) -> None:
        """Refuse entries that cannot be beside those of other packs."""
        with self._lock:
            for entry in entries:
                wrong = self._names.add(entry.path, entry.kind.value)
                if entry.path.partition("/")[0] == MARKER:
                    wrong = "is a name of ours"
                if self._names.held > _NAMES:
                    wrong = "is one name too many"
                if wrong:
                    raise _damaged(f"{entry.path!r} {wrong}")
                if entry.kind is Kind.SYMLINK:
                    self._links[entry.path] = entry.target
            first, last = (os.fsencode(entries[at].path) for at in (0, -1))
            self._ends[pack.listing] = first, last

    def _enter(self, folder: Folder, path: str) -> None:
        if path != folder.path:
            with self._lock:
                folder.enter(path, self._made)


class _Stream:
    """Unpacked bytes that are taken in pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")

    def take(self, limit: int) -> memoryview:
        """Return at least one byte, at most ``limit``."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                raise _damaged("it ends in the middle")
            self._piece = memoryview(piece)
        taken, self._piece = self._piece[:limit], self._piece[limit:]
        return taken

    def exactly(self, size: int) -> bytes:
        """Return the next bytes."""
        parts: list[memoryview] = []
        while size:
            parts.append(self.take(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def finish(self) -> None:
        """Refuse what follows."""
        if self._piece or any(self._pieces):
            raise _damaged("it goes on after its end")


def _listing(stream: _Stream, pack: Pack) -> tuple[Entry, ...]:
    (length,) = LENGTH.unpack(stream.exactly(LENGTH.size))
    if length > LISTING_LIMIT:
        raise _damaged("its listing is too long")
    listing = stream.exactly(length)
    found = Digest.of(listing)
    if found != pack.listing:
        raise _damaged(f"its listing has digest {found}")
    entries = decode(listing)
    size = sum(entry.size for entry in entries)
    if (len(entries), size) != (pack.count, pack.size):
        raise _damaged("its listing is not what the manifest says of it")
    return entries


def _write(stream: _Stream, entry: Entry, name: str, folder: int) -> None:
    mode = 0o755 if entry.executable else 0o644
    descriptor = os.open(name, _FILE_FLAGS, mode, dir_fd=folder)
    digest = hashlib.sha256()
    try:
        left = entry.size
        while left:
            piece = stream.take(left)
            digest.update(piece)
            left -= len(piece)
            while piece:
                piece = piece[os.write(descriptor, piece) :]
    finally:
        os.close(descriptor)
    if entry.digest is None or digest.hexdigest() != entry.digest.hex:
        raise _damaged(f"{entry.path!r} has other content than its digest")


def _untaken(path: str, error: OSError) -> TreeError:
    return TreeError(
        f"cannot write {path!r}: {error.strerror}",
        hint="make room, or unpack to a file system that tells apart"
        " upper and lower case and takes such names",
        paths=[path],
    )


def _damaged(what: str) -> DamagedError:
    return DamagedError(
        f"the pack was refused: {what}",
        hint="it was damaged or made to harm; upload it anew from a tree you trust",
    )
