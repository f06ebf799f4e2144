"""One directory of a walk: which of its names are in, and what is known of them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aweigh.errors import TreeError
from aweigh.tree.entry import Skipped
from aweigh.tree.ignore import key
from aweigh.tree.names import in_order, joined
from aweigh.tree.rules import BUILTIN, FolderRules
from aweigh.tree.signature import (
    NO_RULES,
    Draft,
    Drafts,
    Facts,
    Section,
    numbers_of,
)

if TYPE_CHECKING:
    from array import array

    from aweigh.tree.ignore import Ignores
    from aweigh.tree.names import Names
    from aweigh.tree.pieces import Remembered

__all__ = ["Folder", "Look", "Place", "Walk"]

_FORMAT: Final = 0o170000
_SPECIAL: Final = {
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}
# The fields of an `Identity`, taken out in C.
_NUMBERS: Final = attrgetter(
    "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"
)


@dataclass(slots=True)
class Folder:
    """What one directory gives to the tree.

    Attributes:
        path: Below the root, with a final slash; empty for the root.
        folders: Its directories that were looked into, in the order of their bytes.
        parts: Its files and symlinks, some thousand at a time: with their contents
            where everything is as it is remembered, else the facts alone. Emptied
            when the contents are known.
        size: Bytes of its regular files.
    """

    path: str
    folders: list[str]
    parts: list[Draft | Section]
    size: int


@dataclass(slots=True)
class Walk:
    """What a walk found.

    Attributes:
        root: The absolute path of the directory.
        follow: Whether symlinks stand for what they point to.
        memory: What an earlier scan found.
        folders: Every directory that was looked into, parents before children.
        skipped: What was left out.
        unreadable: What could not be looked at, with the reason.
        drafts: Of directories whose contents are not known.
    """

    root: str
    follow: bool
    memory: Remembered
    folders: list[Folder] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unreadable: list[tuple[str, OSError]] = field(default_factory=list)
    drafts: Drafts = field(default_factory=Drafts)


@dataclass(frozen=True, slots=True)
class Place:
    """A directory to look into, and what is known about it from above.

    Attributes:
        path: Below the root, with a final slash.
        rules: As they stand in its parent.
        wanted: Whether ``include`` already took it in, with all that is in it.
        taken_back: Whether it is in although it may be a virtual environment.
        ancestors: With ``follow``, the directories it lies in, by device and inode.
    """

    path: str
    rules: FolderRules
    wanted: bool
    taken_back: bool
    ancestors: tuple[tuple[int, int], ...] = ()


class Look:
    """The sorting out of one directory's names."""

    def __init__(
        self,
        found: Walk,
        place: Place,
        rules: FolderRules,
        at: str,
        include: Ignores | None,
        *,
        descriptor: int,
        device: int,
    ) -> None:
        self._found = found
        self._place = place
        self._path = os.fsencode(place.path)
        self._rules = rules
        self._table = rules.table(at)
        self._at = at
        self._wanted = include.table(at) if include and not place.wanted else None
        self._descriptor = descriptor
        self._device = device
        self._places: dict[str, Place] = {}
        self._left_out = False
        self._empty = False

    def sort_out(self, names: Names, folders: list[str]) -> None:
        """Decide about each name and note the directory's findings.

        One that holds nothing but what the built-in rules leave out is no entry:
        caches stay behind when a branch is switched. One that is really empty, or
        empty because its owner said so, may be written to at run time and is one.

        Args:
            names: Of its files and symlinks.
            folders: Of its directories.
        """
        self._empty = names.none and not folders
        for name in folders:
            try:
                self._sort_folder(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._complain(name, error)
        note = Folder(self._place.path, in_order(self._places), [], 0)
        for number, some in enumerate(names.parts()):
            part, size = self._taken_before(some, number) or self._decided(some, number)
            note.parts.append(part)
            note.size += size
        self._found.folders.append(note)

    def places(self) -> list[Place]:
        """The directories to look into next, in the order of their bytes."""
        return list(map(self._places.__getitem__, in_order(self._places)))

    def _stat(self, name: str) -> os.stat_result:
        """Look at a name as it counts in the tree; by a descriptor that is fast."""
        follow = self._found.follow
        return os.stat(name, dir_fd=self._descriptor, follow_symlinks=follow)

    def _decided_by_rules(self) -> bool:
        return self._wanted is None and not self._found.follow

    def _taken_before(
        self, names: list[str], part: int
    ) -> tuple[Draft | Section, int] | None:
        """The section of an unchanged directory all of whose files are in.

        This is where a warm walk spends its time: no object for a file but its
        stat result, and no decision.
        """
        memory = self._found.memory
        if not self._decided_by_rules() or not memory.has(self._path, part):
            return None
        descriptor, look = self._descriptor, os.stat
        try:
            rows = [
                _NUMBERS(look(name, dir_fd=descriptor, follow_symlinks=False))
                for name in names
            ]
        except OSError:
            return None
        facts = self._facts(names, numbers_of(rows), part, self._table.digest)
        section = memory.same(facts)
        return None if section is None else (section, section.size)

    def _decided(self, names: list[str], part: int) -> tuple[Draft | Section, int]:
        left_out = len(self._found.skipped)
        stats: dict[str, os.stat_result] = {}
        for name in names:
            status = self._sort_file(name)
            if status is not None:
                stats[name] = status
        links = any(stat.S_ISLNK(status.st_mode) for status in stats.values())
        plain = len(stats) == len(names) and len(self._found.skipped) == left_out
        by_rules = plain and not links and self._decided_by_rules()
        rules = self._table.digest if by_rules else NO_RULES
        rows = numbers_of([_NUMBERS(status) for status in stats.values()])
        size = sum(
            status.st_size
            for status in stats.values()
            if not stat.S_ISLNK(status.st_mode)
        )
        facts = self._facts(list(stats), rows, part, rules)
        return self._found.drafts.draft(facts), size

    def _facts(
        self, names: list[str], stats: array[int], part: int, rules: bytes
    ) -> Facts:
        return Facts(
            path=self._path,
            names=joined(names),
            stats=stats,
            device=self._device,
            kept_empty=self._wanted is None and (self._empty or self._left_out),
            rules=rules,
            part=part,
        )

    def _sort_file(self, name: str) -> os.stat_result | None:
        """Decide about a file; its stat result if it is in."""
        text = key(name)
        try:
            pattern = self._table.first(text, self._at, is_folder=False)
            if pattern is not None and not pattern.negated:
                self._skip(name, pattern.shown)
            elif self._wanted is None or self._wanted.first(
                text, self._at, is_folder=False
            ):
                status = self._stat(name)
                kind = _SPECIAL.get(status.st_mode & _FORMAT)
                if kind is None:
                    return status
                self._skip(name, kind)
        except FileNotFoundError as error:
            if self._found.follow and self._is_link(name):
                self._complain(name, error)
        except OSError as error:
            self._complain(name, error)
        return None

    def _is_link(self, name: str) -> bool:
        try:
            os.readlink(name, dir_fd=self._descriptor)
        except OSError:
            return False
        return True

    def _complain(self, name: str, error: OSError) -> None:
        self._found.unreadable.append((self._place.path + name, error))

    def _skip(self, name: str, rule: str) -> None:
        status = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        self._leave_out(Skipped(self._place.path + name, rule, status.st_size))

    def _leave_out(self, skipped: Skipped) -> None:
        self._found.skipped.append(skipped)
        if not skipped.rule.startswith(BUILTIN):
            self._left_out = True

    def _sort_folder(self, name: str) -> None:
        text = key(name)
        path = f"{self._place.path}{name}/"
        pattern = self._table.first(text, self._at, is_folder=True)
        if pattern is not None and not pattern.negated:
            self._leave_out(Skipped(path, pattern.shown, 0))
            return
        wanted = self._wanted is None or (
            self._wanted.first(text, self._at, is_folder=True) is not None
        )
        self._places[name] = Place(
            path,
            self._rules,
            wanted,
            pattern is not None,
            self._ancestors(name) if self._found.follow else (),
        )

    def _ancestors(self, name: str) -> tuple[tuple[int, int], ...]:
        status = self._stat(name)
        own = (status.st_dev, status.st_ino)
        if own in self._place.ancestors:
            raise TreeError(
                f"symlink {self._place.path + name!r} leads back into"
                " a directory that it is in",
                hint="leave it out with .aweighignore, or do not follow symlinks",
                paths=[self._place.path + name],
            )
        return (*self._place.ancestors, own)
