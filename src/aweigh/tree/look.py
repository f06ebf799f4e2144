"""One directory of a walk: which of its names are in, and what is known of them."""

from __future__ import annotations

import os
import stat
from array import array
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aweigh.errors import TreeError
from aweigh.tree.digests import numbers
from aweigh.tree.entry import Skipped
from aweigh.tree.ignore import key
from aweigh.tree.names import AT_ONCE, in_order, joined
from aweigh.tree.rules import BUILTIN, FolderRules
from aweigh.tree.signature import FIELDS, NO_RULES, Facts

if TYPE_CHECKING:
    from aweigh.tree.ignore import Ignores
    from aweigh.tree.signature import Remembered, Section

__all__ = ["Folder", "Look", "Place", "Walk"]

_FORMAT: Final = 0o170000
_SPECIAL: Final = {
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}
# The fields of an `Identity`, taken out in C; `numbers` where an inode is too large.
_NUMBERS: Final = attrgetter(
    "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"
)


@dataclass(slots=True)
class Folder:
    """What one directory gives to the tree.

    Attributes:
        path: Below the root, with a final slash; empty for the root.
        folders: Its directories that were looked into, in the order of their bytes.
        facts: Its files and symlinks; emptied when ``section`` is there.
        section: The facts with the contents, as far as they are known.
        size: Bytes of its regular files.
    """

    path: str
    folders: list[str]
    facts: Facts | None
    section: Section | None
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
    """

    root: str
    follow: bool
    memory: Remembered
    folders: list[Folder] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unreadable: list[tuple[str, OSError]] = field(default_factory=list)


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
    ) -> None:
        self._found = found
        self._place = place
        self._rules = rules
        self._table = rules.table(at)
        self._at = at
        self._wanted = include.table(at) if include and not place.wanted else None
        self._stats: dict[str, os.stat_result] = {}
        self._places: dict[str, Place] = {}
        self._left_out = False

    def sort_out(self, entries: dict[str, os.DirEntry[str]], *, device: int) -> None:
        """Decide about each name and note the directory's findings."""
        files = dict(entries)
        for entry in self._folders(entries):
            del files[entry.name]
            try:
                self._sort_folder(entry)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._complain(entry, error)
        self._note(files, empty=not entries, device=device)

    def _folders(self, entries: dict[str, os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        follow, listed = self._found.follow, entries.values()
        try:
            return [each for each in listed if each.is_dir(follow_symlinks=follow)]
        except OSError:
            # The stat of a file says the same again, and there it is told.
            return [each for each in listed if _is_folder(each, follow=follow)]

    def places(self) -> list[Place]:
        """The directories to look into next, in the order of their bytes."""
        return list(map(self._places.__getitem__, in_order(self._places)))

    def _note(
        self, files: dict[str, os.DirEntry[str]], *, empty: bool, device: int
    ) -> None:
        """Note the directory.

        One that holds nothing but what the built-in rules leave out is no entry:
        caches stay behind when a branch is switched. One that is really empty, or
        empty because its owner said so, may be written to at run time and is one.
        """
        found, path = self._found, self._place.path
        all_of_them = self._taken_before(files, empty=empty, device=device)
        if all_of_them is not None:
            names = in_order(self._places)
            size = all_of_them.size
            found.folders.append(Folder(path, names, None, all_of_them, size))
            return
        left_out = len(found.skipped)
        for entry in files.values():
            self._sort_file(entry)
        ordered = in_order(self._stats)
        kept = list(map(self._stats.__getitem__, ordered))
        links = any(stat.S_ISLNK(status.st_mode) for status in kept)
        plain = len(kept) == len(files) and len(found.skipped) == left_out
        facts = self._facts(
            ordered,
            kept,
            empty=empty,
            device=device,
            by_rules=plain and not links and self._decided_by_rules(),
        )
        size = sum(each.st_size for each in kept if not stat.S_ISLNK(each.st_mode))
        found.folders.append(Folder(path, in_order(self._places), facts, None, size))

    def _decided_by_rules(self) -> bool:
        return self._wanted is None and not self._found.follow

    def _taken_before(
        self, files: dict[str, os.DirEntry[str]], *, empty: bool, device: int
    ) -> Section | None:
        """The section of an unchanged directory all of whose files are in.

        This is where a warm walk spends its time: no object for a file but its
        stat result, and no decision.
        """
        memory = self._found.memory
        known = memory.of(os.fsencode(self._place.path))
        if known is None or not self._decided_by_rules():
            return None
        names = in_order(files)
        try:
            stats = [files[name].stat(follow_symlinks=False) for name in names]
        except OSError:
            return None
        return memory.same(
            self._facts(names, stats, empty=empty, device=device, by_rules=True)
        )

    def _facts(
        self,
        names: list[str],
        stats: list[os.stat_result],
        *,
        empty: bool,
        device: int,
        by_rules: bool,
    ) -> Facts:
        rows = array("q")
        for start in range(0, len(stats), AT_ONCE):
            some = stats[start : start + AT_ONCE]
            try:
                rows.extend(chain.from_iterable(map(_NUMBERS, some)))
            except OverflowError:
                del rows[start * FIELDS :]
                rows.extend(chain.from_iterable(map(numbers, some)))
        return Facts(
            path=os.fsencode(self._place.path),
            names=joined(names),
            stats=rows,
            device=device,
            kept_empty=self._wanted is None and (empty or self._left_out),
            rules=self._table.digest if by_rules else NO_RULES,
        )

    def _sort_file(self, entry: os.DirEntry[str]) -> None:
        text = key(entry.name)
        follow = self._found.follow
        try:
            pattern = self._table.first(text, self._at, is_folder=False)
            if pattern is not None and not pattern.negated:
                self._skip(entry, pattern.shown)
            elif self._wanted is None or self._wanted.first(
                text, self._at, is_folder=False
            ):
                status = entry.stat(follow_symlinks=follow)
                kind = _SPECIAL.get(status.st_mode & _FORMAT)
                if kind is None:
                    self._stats[entry.name] = status
                else:
                    self._skip(entry, kind)
        except FileNotFoundError as error:
            if follow and entry.is_symlink():
                self._complain(entry, error)
        except OSError as error:
            self._complain(entry, error)

    def _complain(self, entry: os.DirEntry[str], error: OSError) -> None:
        self._found.unreadable.append((self._place.path + entry.name, error))

    def _skip(self, entry: os.DirEntry[str], rule: str) -> None:
        size = entry.stat(follow_symlinks=False).st_size
        self._leave_out(Skipped(self._place.path + entry.name, rule, size))

    def _leave_out(self, skipped: Skipped) -> None:
        self._found.skipped.append(skipped)
        if not skipped.rule.startswith(BUILTIN):
            self._left_out = True

    def _sort_folder(self, entry: os.DirEntry[str]) -> None:
        text = key(entry.name)
        pattern = self._table.first(text, self._at, is_folder=True)
        if pattern is not None and not pattern.negated:
            path = f"{self._place.path}{entry.name}/"
            self._leave_out(Skipped(path, pattern.shown, 0))
            return
        wanted = self._wanted is None or (
            self._wanted.first(text, self._at, is_folder=True) is not None
        )
        self._places[entry.name] = Place(
            f"{self._place.path}{entry.name}/",
            self._rules,
            wanted,
            pattern is not None,
            self._ancestors(entry) if self._found.follow else (),
        )

    def _ancestors(self, entry: os.DirEntry[str]) -> tuple[tuple[int, int], ...]:
        status = entry.stat()
        own = (status.st_dev, status.st_ino)
        if own in self._place.ancestors:
            raise TreeError(
                f"symlink {self._place.path + entry.name!r} leads back into"
                " a directory that it is in",
                hint="leave it out with .aweighignore, or do not follow symlinks",
                paths=[self._place.path + entry.name],
            )
        return (*self._place.ancestors, own)


def _is_folder(entry: os.DirEntry[str], *, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False
