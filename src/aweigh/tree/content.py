"""The contents of the files a walk found: recalled where possible, read otherwise."""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.oci.digest import Digest
from aweigh.tree.digests import Identity, digest_file
from aweigh.tree.entry import Entry, Kind
from aweigh.tree.signature import FIELDS, pack_section

if TYPE_CHECKING:
    from aweigh.tree.signature import Remembered, Section
    from aweigh.tree.walk import Folder, Walk

__all__ = ["Content", "Contents"]

_ENOUGH: Final = 10
_OWNER_EXECUTES: Final = stat.S_IXUSR
_HEX: Final = 64


@dataclass(frozen=True, slots=True)
class Content:
    """One directory whose contents are known.

    Attributes:
        folder: Its names and what the file system says about them.
        digests: 32 bytes for each name.
        targets: The texts of its symlinks, by name.
        packed: Its section of the signature.
    """

    folder: Folder
    digests: bytes
    targets: dict[str, str]
    packed: bytes

    def entries(self) -> list[Entry]:
        """Its files and symlinks, in the order of their bytes."""
        path, stats = self.folder.path, self.folder.stats
        digests = self.digests.hex()
        entries: list[Entry] = []
        rows = zip(self.folder.names, stats[::FIELDS], stats[1::FIELDS], strict=True)
        for index, (name, mode, size) in enumerate(rows):
            if stat.S_ISLNK(mode):
                target = self.targets[name]
                entry = Entry(path + name, Kind.SYMLINK, False, 0, None, target)
            else:
                start = index * _HEX
                digest = Digest(digests[start : start + _HEX])
                executable = mode & _OWNER_EXECUTES != 0
                entry = Entry(path + name, Kind.FILE, executable, size, digest)
            entries.append(entry)
        return entries


class Contents:
    """The contents of everything a walk found.

    Attributes:
        of: The directories, in the walk's order.
        read: How many files were read.
        settled: Whether all files are old enough to be recalled next time.
        escaping: Symlinks that lead out of the directory.
    """

    def __init__(self, found: Walk, memory: Remembered, *, settled: int) -> None:
        self.of: dict[str, Content] = {}
        self.read = 0
        self.settled = True
        self.escaping: list[str] = []
        self._found = found
        self._memory = memory
        self._settled = settled

    def gather(self) -> None:
        """Recall or read everything; what vanished meanwhile is dropped.

        Files that cannot be read join `Walk.unreadable`; after ten it gives up.

        Raises:
            ChangedError: A file kept changing while it was read.
        """
        for folder in self._found.folders:
            old = self._memory.of(folder.path)
            links = any(map(stat.S_ISLNK, folder.stats[::FIELDS]))
            if (
                old is not None
                and not links
                and old.stats == folder.stats.tobytes()
                and old.names == os.fsencode("\0".join(folder.names))
            ):
                self.of[folder.path] = Content(folder, old.digests, {}, old.packed)
            else:
                self.of[folder.path] = self._look(folder, old)
            if len(self._found.unreadable) >= _ENOUGH:
                return

    def _look(self, folder: Folder, old: Section | None) -> Content:
        known = {} if old is None else old.known()
        rows = folder.stats.tobytes()
        width = len(rows) // max(1, len(folder.names))
        names: list[str] = []
        stats = array("q")
        digests = bytearray()
        targets: dict[str, str] = {}
        for index, name in enumerate(folder.names):
            seen = Identity(*folder.stats[index * FIELDS : (index + 1) * FIELDS])
            row, digest = known.get(os.fsencode(name), (b"", b""))
            if stat.S_ISLNK(seen.mode):
                target = self._target(folder.path, name)
                if target is None:
                    continue
                targets[name] = target
                digest = hashlib.sha256(os.fsencode(target)).digest()
            elif row != rows[index * width : (index + 1) * width]:
                found = self._digest(folder.path + name, seen)
                if found is None:
                    continue
                digest, seen = found
            names.append(name)
            stats.extend(seen)
            digests += digest
        folder.names, folder.stats = names, stats
        packed, settled = pack_section(folder, bytes(digests), settled=self._settled)
        self.settled = self.settled and settled
        return Content(folder, bytes(digests), targets, packed)

    def _digest(self, path: str, seen: Identity) -> tuple[bytes, Identity] | None:
        found = self._found
        if len(found.unreadable) >= _ENOUGH:
            return None
        self.read += 1
        try:
            return digest_file(
                f"{found.root}/{path}", seen, follow=found.follow, shown=path
            )
        except OSError as error:
            found.unreadable.append((path, error))
            return None

    def _target(self, folder: str, name: str) -> str | None:
        try:
            target = os.readlink(f"{self._found.root}/{folder}{name}")  # noqa: PTH115  # Path would normalise the text
        except OSError:
            # Gone, or a symlink no longer: the next scan sees what it is then.
            return None
        if _leads_out(self._found.root, folder, target):
            self.escaping.append(folder + name)
        return target


def _leads_out(root: str, folder: str, target: str) -> bool:
    """Whether a link leaves the root: by its text, or through other links.

    An absolute target leaves it even when it points back in: on another machine the
    root is elsewhere.
    """
    if target.startswith("/"):
        return True
    by_text = os.path.normpath(f"{folder}{target}")
    if by_text == ".." or by_text.startswith("../"):
        return True
    real = os.path.realpath(f"{root}/{folder}{target}")
    return real != root and not real.startswith(f"{root}/")
