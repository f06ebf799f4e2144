"""One pass over a directory: what is there, what is left out, nothing is read."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.tree.builtin import DIRECTORY_MARKS
from aweigh.tree.entry import Skipped
from aweigh.tree.ignore import key
from aweigh.tree.look import Look, Place, Walk
from aweigh.tree.names import AT_ONCE, Names
from aweigh.tree.rules import (
    AWEIGHIGNORE,
    BUILTIN,
    GITIGNORE,
    FolderRules,
    included,
)

if TYPE_CHECKING:
    from aweigh.tree.ignore import Ignores
    from aweigh.tree.pieces import Remembered
    from aweigh.tree.rules import Rules

__all__ = ["walk"]

# Names that mean something to whoever walks.
_NOTED: Final = frozenset((*DIRECTORY_MARKS, AWEIGHIGNORE, GITIGNORE))
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def walk(root: str, rules: Rules, *, follow: bool, memory: Remembered) -> Walk:
    """Look at a directory and everything in it that the rules do not leave out.

    What vanishes meanwhile counts as never seen.

    Args:
        root: The absolute path of a directory, without symlinks.
        rules: What is left out.
        follow: Whether symlinks stand for what they point to.
        memory: What an earlier scan found: directories that are as they were then
            are taken from it as they are.

    Raises:
        TreeError: With ``follow``, a symlink leads back into where it is.
    """
    found = Walk(root, follow, memory)
    try:
        state, base = FolderRules.at_root(rules, root)
    except OSError as error:
        found.unreadable.append((os.path.relpath(error.filename, root), error))
        return found
    include = included(rules, base)
    top = Path(root).stat()
    waiting = [Place("", state, include is None, True, ((top.st_dev, top.st_ino),))]
    while waiting:
        look = _open(found, waiting.pop(), rules, base, include)
        if look is not None:
            waiting.extend(reversed(look.places()))
    return found


def _open(
    found: Walk, place: Place, rules: Rules, base: str, include: Ignores | None
) -> Look | None:
    """Look into a directory; None if it is left out, gone or unreadable."""
    path = f"{found.root}/{place.path}" if place.path else found.root
    flags = _DIRECTORY if found.follow else _DIRECTORY | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        found.unreadable.append((place.path.rstrip("/") or ".", error))
        return None
    # By its descriptor, so that each stat is told a name and not a path.
    try:
        names, folders, noted = _listed(descriptor, follow=found.follow)
        mark = next((name for name in DIRECTORY_MARKS if name in noted), None)
        if mark and rules.builtin and not place.taken_back:
            found.skipped.append(Skipped(place.path, f"{BUILTIN}{mark}", 0))
            return None
        at = base + key(place.path)
        inner = place.rules.entering(path, noted, shown=place.path, at=at)
        status = os.fstat(descriptor)
        if not status.st_nlink:
            return None
        look = Look(
            found,
            place,
            inner,
            at,
            include,
            descriptor=descriptor,
            device=status.st_dev,
        )
        look.sort_out(names, folders)
        return look
    except OSError as error:
        # An ignore file, or the directory itself: then there is a number for a name.
        shown = place.path.rstrip("/") or "."
        if isinstance(error.filename, str):
            shown = os.path.relpath(error.filename, found.root)
        found.unreadable.append((shown, error))
        return None
    finally:
        os.close(descriptor)


def _listed(descriptor: int, *, follow: bool) -> tuple[Names, list[str], set[str]]:
    """The names of a directory: what is none, the directories, and the noted ones."""
    names = Names()
    folders: list[str] = []
    noted: set[str] = set()
    with os.scandir(descriptor) as listing:
        while some := list(islice(listing, AT_ONCE)):
            listed = [entry.name for entry in some]
            noted.update(_NOTED.intersection(listed))
            try:
                found = [e.name for e in some if e.is_dir(follow_symlinks=follow)]
            except OSError:
                # The stat of a file says the same again, and there it is told.
                found = [e.name for e in some if _is_folder(e, follow=follow)]
            if found:
                folders += found
                others = set(found)
                listed = [name for name in listed if name not in others]
            names.add(listed)
    return names, folders, noted


def _is_folder(entry: os.DirEntry[str], *, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False
