"""The contents of the files a walk found: recalled where possible, read otherwise."""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aweigh.oci.digest import Digest
from aweigh.tree.digests import Identity, digest_file
from aweigh.tree.entry import Entry, Kind
from aweigh.tree.names import joined, parted
from aweigh.tree.signature import FIELDS, ROW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.tree.look import Walk
    from aweigh.tree.signature import Facts, Section

__all__ = ["Content", "Contents"]

_ENOUGH: Final = 10
_OWNER_EXECUTES: Final = stat.S_IXUSR
_HEX: Final = 64


@dataclass(frozen=True, slots=True)
class Content:
    """One directory whose contents are known.

    Attributes:
        path: Below the root, with a final slash; empty for the root.
        folders: Its directories that were looked into, in the order of their bytes.
        section: Its files and symlinks.
        targets: The texts of its symlinks, by name.
    """

    path: str
    folders: list[str]
    section: Section
    targets: dict[str, str]

    def names(self) -> list[str]:
        """Its files and symlinks, in the order of their bytes."""
        return parted(self.section.names())

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Its files and symlinks by name, in the order of their bytes."""
        stats = array("q", self.section.stats())
        digests = self.section.digests().hex()
        rows = zip(self.names(), stats[::FIELDS], stats[1::FIELDS], strict=True)
        for index, (name, mode, size) in enumerate(rows):
            path = self.path + name
            if stat.S_ISLNK(mode):
                target = self.targets[name]
                yield name, Entry(path, Kind.SYMLINK, False, 0, None, target)
            else:
                start = index * _HEX
                digest = Digest(digests[start : start + _HEX])
                executable = mode & _OWNER_EXECUTES != 0
                yield name, Entry(path, Kind.FILE, executable, size, digest)


class Contents:
    """The contents of everything a walk found.

    Attributes:
        of: The directories, in the walk's order.
        read: How many files were read.
        recalled: How many directories are as they are remembered.
        settled: Whether all files are old enough to be recalled next time.
        escaping: Symlinks that lead out of the directory.
    """

    def __init__(self, found: Walk, *, settled: int) -> None:
        self.of: dict[str, Content] = {}
        self.read = 0
        self.recalled = 0
        self.settled = True
        self.escaping: list[str] = []
        self._found = found
        self._settled = settled

    def gather(self) -> None:
        """Recall or read everything; what vanished meanwhile is dropped.

        Files that cannot be read join `Walk.unreadable`; after ten it gives up.

        Raises:
            ChangedError: A file kept changing while it was read.
        """
        for folder in self._found.folders:
            section, facts = folder.section, folder.facts
            targets: dict[str, str] = {}
            if section is not None:
                self.recalled += 1
            elif facts is not None:
                section, targets = self._look(folder.path, facts)
                folder.facts, folder.section = None, section
            else:
                raise AssertionError
            path, folders = folder.path, folder.folders
            self.of[path] = Content(path, folders, section, targets)
            if len(self._found.unreadable) >= _ENOUGH:
                return

    def _look(self, path: str, facts: Facts) -> tuple[Section, dict[str, str]]:
        """Take from memory what did not change, and the rest from the disk."""
        old = self._found.memory.of(facts.path)
        links = any(map(stat.S_ISLNK, facts.stats[::FIELDS]))
        targets: dict[str, str] = {}
        if old is None or links or not old.has(facts):
            facts, digests = self._look_at_each(path, facts, old, targets)
        else:
            digests = old.digests()
        modes = facts.stats[::FIELDS]
        regular = [
            size
            for mode, size in zip(modes, facts.stats[1::FIELDS], strict=True)
            if stat.S_ISREG(mode)
        ]
        section, settled = facts.section(
            digests, files=len(regular), size=sum(regular), settled=self._settled
        )
        self.settled = self.settled and settled
        if old is not None and bytes(old.packed()) == bytes(section.packed()):
            self.recalled += 1
            return old, targets
        return section, targets

    def _look_at_each(
        self, path: str, facts: Facts, old: Section | None, targets: dict[str, str]
    ) -> tuple[Facts, bytes]:
        known = {} if old is None else old.known()
        rows = facts.stats.tobytes()
        names: list[str] = []
        stats = array("q")
        digests = bytearray()
        for index, name in enumerate(parted(facts.names)):
            seen = Identity(*facts.stats[index * FIELDS : (index + 1) * FIELDS])
            row, digest = known.get(os.fsencode(name), (b"", b""))
            if stat.S_ISLNK(seen.mode):
                target = self._target(path, name)
                if target is None:
                    continue
                targets[name] = target
                digest = hashlib.sha256(os.fsencode(target)).digest()
            elif row != rows[index * ROW : (index + 1) * ROW]:
                found = self._digest(path + name, seen)
                if found is None:
                    continue
                digest, seen = found
            names.append(name)
            stats.extend(seen)
            digests += digest
        return replace(facts, names=joined(names), stats=stats), bytes(digests)

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
