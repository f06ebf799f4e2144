"""One pass over a directory: what is there, what is left out, nothing is read."""

from __future__ import annotations

import heapq
import os
import stat
import unicodedata
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.errors import TreeError
from aweigh.tree.builtin import DIRECTORY_MARKS
from aweigh.tree.digests import numbers
from aweigh.tree.entry import Skipped
from aweigh.tree.ignore import key
from aweigh.tree.rules import BUILTIN, FolderRules, included

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.tree.ignore import Ignores
    from aweigh.tree.rules import Rules

__all__ = ["Folder", "Walk", "in_order", "walk"]

_SORT_AT_ONCE: Final = 8192
_FORMAT: Final = 0o170000
_SPECIAL: Final = {
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}


@dataclass(slots=True)
class Folder:
    """What one directory gives to the tree.

    Attributes:
        path: Below the root, with a final slash; empty for the root.
        names: Its files and symlinks, in the order of their bytes.
        stats: Five numbers for each name: see `aweigh.tree.digests.Identity`.
        folders: Its directories that were looked into, in the order of their bytes.
        kept_empty: Whether it is an entry when nothing in it is.
    """

    path: str
    names: list[str] = field(default_factory=list)
    stats: array[int] = field(default_factory=lambda: array("q"))
    folders: list[str] = field(default_factory=list)
    kept_empty: bool = False


@dataclass(slots=True)
class Walk:
    """What a walk found.

    Attributes:
        root: The absolute path of the directory.
        follow: Whether symlinks stand for what they point to.
        folders: Every directory that was looked into, parents before children.
        skipped: What was left out.
        unreadable: What could not be looked at, with the reason.
        collisions: Paths that are one on some file systems: equal but for case or
            for Unicode's composed forms.
    """

    root: str
    follow: bool
    folders: list[Folder] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unreadable: list[tuple[str, OSError]] = field(default_factory=list)
    collisions: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
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


def walk(root: str, rules: Rules, *, follow: bool) -> Walk:
    """Look at a directory and everything in it that the rules do not leave out.

    What vanishes meanwhile counts as never seen.

    Args:
        root: The absolute path of a directory, without symlinks.
        rules: What is left out.
        follow: Whether symlinks stand for what they point to.

    Raises:
        TreeError: With ``follow``, a symlink leads back into where it is.
    """
    found = Walk(root, follow)
    try:
        state, base = FolderRules.at_root(rules, root)
    except OSError as error:
        found.unreadable.append((os.path.relpath(error.filename, root), error))
        return found
    include = included(rules, base)
    top = Path(root).stat()
    waiting = [_Place("", state, include is None, True, ((top.st_dev, top.st_ino),))]
    while waiting:
        look = _open(found, waiting.pop(), rules, base, include)
        if look is not None:
            waiting.extend(reversed(look.places()))
    return found


def _open(
    found: Walk, place: _Place, rules: Rules, base: str, include: Ignores | None
) -> _Look | None:
    """Look into a directory; None if it is left out, gone or unreadable."""
    path = f"{found.root}/{place.path}" if place.path else found.root
    try:
        with os.scandir(path) as listing:
            entries = list(listing)
        names = [entry.name for entry in entries]
        mark = next((name for name in DIRECTORY_MARKS if name in names), None)
        if mark and rules.builtin and not place.taken_back:
            found.skipped.append(Skipped(place.path, f"{BUILTIN}{mark}", 0))
            return None
        at = base + key(place.path)
        inner = place.rules.entering(path, names, shown=place.path, at=at)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        # An ignore file, or the directory itself.
        shown = os.path.relpath(error.filename, found.root)
        found.unreadable.append((shown, error))
        return None
    look = _Look(found, place, inner, at, include)
    look.sort_out(entries)
    return look


class _Look:
    """The sorting out of one directory's names."""

    def __init__(
        self,
        found: Walk,
        place: _Place,
        rules: FolderRules,
        at: str,
        include: Ignores | None,
    ) -> None:
        self._found = found
        self._place = place
        self._rules = rules
        self._at = at
        self._wanted = include.table(at) if include and not place.wanted else None
        self._stats: dict[str, os.stat_result] = {}
        self._places: dict[str, _Place] = {}
        self._left_out = False

    def sort_out(self, entries: list[os.DirEntry[str]]) -> None:
        """Decide about each name and note the directory's findings."""
        first = self._rules.table(self._at).first
        at, follow, place = self._at, self._found.follow, self._place.path
        wanted, stats = self._wanted, self._stats
        for entry in entries:
            name = entry.name
            text = name if name.isascii() else key(name)
            try:
                is_folder = entry.is_dir(follow_symlinks=follow)
                pattern = first(text, at, is_folder=is_folder)
                if pattern is not None and not pattern.negated:
                    self._skip(entry, pattern.shown, is_folder=is_folder)
                elif is_folder:
                    self._enter(entry, text, taken_back=pattern is not None)
                elif wanted is None or wanted.first(text, at, is_folder=False):
                    status = entry.stat(follow_symlinks=follow)
                    kind = _SPECIAL.get(status.st_mode & _FORMAT)
                    if kind is None:
                        stats[name] = status
                    else:
                        self._skip(entry, kind, is_folder=False)
            except FileNotFoundError as error:
                if follow and entry.is_symlink():
                    self._found.unreadable.append((place + name, error))
            except OSError as error:
                self._found.unreadable.append((place + name, error))
        self._note(empty=not entries)

    def places(self) -> list[_Place]:
        """The directories to look into next, in the order of their bytes."""
        return list(map(self._places.__getitem__, in_order(self._places)))

    def _skip(self, entry: os.DirEntry[str], rule: str, *, is_folder: bool) -> None:
        path = self._place.path + entry.name
        if is_folder:
            self._found.skipped.append(Skipped(f"{path}/", rule, 0))
        else:
            size = entry.stat(follow_symlinks=False).st_size
            self._found.skipped.append(Skipped(path, rule, size))
        if not rule.startswith(BUILTIN):
            self._left_out = True

    def _enter(self, entry: os.DirEntry[str], text: str, *, taken_back: bool) -> None:
        wanted = self._wanted is None or (
            self._wanted.first(text, self._at, is_folder=True) is not None
        )
        ancestors = self._place.ancestors
        if self._found.follow:
            status = entry.stat()
            own = (status.st_dev, status.st_ino)
            if own in ancestors:
                raise TreeError(
                    f"symlink {self._place.path + entry.name!r} leads back into"
                    " a directory that it is in",
                    hint="leave it out with .aweighignore, or do not follow symlinks",
                    paths=[self._place.path + entry.name],
                )
            ancestors = (*ancestors, own)
        self._places[entry.name] = _Place(
            f"{self._place.path}{entry.name}/",
            self._rules,
            wanted,
            taken_back,
            ancestors,
        )

    def _note(self, *, empty: bool) -> None:
        """Note the directory.

        One that holds nothing but what the built-in rules leave out is no entry:
        caches stay behind when a branch is switched. One that is really empty, or
        empty because its owner said so, may be written to at run time and is one.
        """
        folder = Folder(
            self._place.path,
            names=in_order(self._stats),
            folders=in_order(self._places),
            kept_empty=self._wanted is None and (empty or self._left_out),
        )
        for name in folder.names:
            folder.stats.extend(numbers(self._stats[name]))
        self._found.folders.append(folder)
        self._collide([*folder.names, *folder.folders])

    def _collide(self, names: list[str]) -> None:
        text = "".join(names)
        if text.isascii() and len(set(map(str.lower, names))) == len(names):
            return
        groups: dict[str, list[str]] = {}
        for name in names:
            folded = unicodedata.normalize("NFC", name).casefold()
            groups.setdefault(folded, []).append(self._place.path + name)
        self._found.collisions.extend(
            tuple(group) for group in groups.values() if len(group) > 1
        )


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names by their bytes, without holding the interpreter for long."""
    rest = list(names)
    order = None if "".join(rest).isascii() else os.fsencode
    if len(rest) <= _SORT_AT_ONCE:
        return sorted(rest, key=order)
    runs = [
        sorted(rest[start : start + _SORT_AT_ONCE], key=order)
        for start in range(0, len(rest), _SORT_AT_ONCE)
    ]
    return list(heapq.merge(*runs, key=order))
