"""The contents of the files a walk found: recalled where possible, read otherwise."""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from bisect import bisect_left
from dataclasses import dataclass, replace
from struct import iter_unpack, unpack
from typing import TYPE_CHECKING, Final

from aweigh.tree.names import parted
from aweigh.tree.reading import LARGE, Reader
from aweigh.tree.rows import SYMLINK, Rows, kind_of
from aweigh.tree.signature import DIGEST, FIELDS, ROW, Draft

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from aweigh.tree.digests import Numbers
    from aweigh.tree.kept import Kept
    from aweigh.tree.look import Walk
    from aweigh.tree.pieces import Sealer
    from aweigh.tree.signature import Facts, Section

__all__ = ["Content", "Contents"]

_ENOUGH: Final = 10
# Bytes of names that are looked at together.
_BLOCK: Final = 32 << 10
_NOTHING: Final = (b"", b"")


@dataclass(frozen=True, slots=True)
class Content:
    """One directory whose contents are known.

    Attributes:
        path: Below the root, with a final slash; empty for the root.
        folders: Its directories that were looked into, in the order of their bytes.
        sections: Its files and symlinks, in parts when they are many.
        targets: The texts of its symlinks, by name.
    """

    path: str
    folders: list[str]
    sections: Sequence[Section]
    targets: dict[str, str]

    @property
    def count(self) -> int:
        """How many files and symlinks it has."""
        return sum([section.count for section in self.sections])

    @property
    def kept_empty(self) -> bool:
        """Whether the directory is an entry when nothing in it is."""
        return any(section.kept_empty for section in self.sections)

    def all_names(self) -> Iterator[str]:
        """Of its files and symlinks in the order of their bytes, then its folders."""
        for section in self.sections:
            yield from parted(section.names())
        yield from self.folders

    def rows(self, breaks: Sequence[bytes] = ()) -> Iterator[Rows | int]:
        """Its files and symlinks, in the order of their bytes.

        Args:
            breaks: Other names in that order. The index of each comes out where it
                belongs.
        """
        after = 0
        for names, rows in self._blocks():
            start = 0
            while after < len(breaks) and breaks[after] < names[-1]:
                stop = bisect_left(names, breaks[after], start)
                if start < stop:
                    yield rows.part(start, stop)
                yield after
                start, after = stop, after + 1
            yield rows.part(start, len(names))
        yield from range(after, len(breaks))

    def _blocks(self) -> Iterator[tuple[list[bytes], Rows]]:
        for section in self.sections:
            yield from self._blocks_of(section)

    def _blocks_of(self, section: Section) -> Iterator[tuple[list[bytes], Rows]]:
        """Some names at a time: a directory may be a large tree by itself."""
        listed, folder = section.names(), os.fsencode(self.path)
        stats, digests = array("q", section.stats()), section.digests()
        start, index = 0, 0
        while start < len(listed):
            stop = listed.find(b"\0", start + _BLOCK)
            stop = len(listed) if stop < 0 else stop
            names = listed[start:stop].split(b"\0")
            end = index + len(names)
            modes = stats[index * FIELDS : end * FIELDS : FIELDS]
            count = len(names)
            rows = Rows(
                [folder + name for name in names],
                bytes([kind_of(modes[0])]) * count
                if len(set(modes)) == 1
                else bytes(map(kind_of, modes)),
                stats[index * FIELDS + 1 : end * FIELDS : FIELDS].tolist(),
                list(
                    unpack(f"{DIGEST}s" * count, digests[index * DIGEST : end * DIGEST])
                ),
            )
            if self.targets:
                self._put_targets(names, rows)
            yield names, rows
            start, index = stop + 1, end

    def _put_targets(self, names: list[bytes], rows: Rows) -> None:
        for number, kind in enumerate(rows.kinds):
            if kind == SYMLINK:
                target = self.targets[os.fsdecode(names[number])]
                rows.sizes[number] = 0
                rows.contents[number] = os.fsencode(target)


class Contents:
    """The contents of everything a walk found.

    Attributes:
        of: The directories, in the walk's order.
        recalled: How many of their sections are as they are remembered.
        settled: Whether all files are old enough to be recalled next time.
        escaping: Symlinks that lead out of the directory.
    """

    def __init__(
        self, found: Walk, *, settled: int, kept: Kept, sealer: Sealer
    ) -> None:
        self.of: dict[str, Content] = {}
        self.recalled = 0
        self.settled = True
        self.escaping: list[str] = []
        self._found = found
        self._settled = settled
        self._reader = Reader(found, kept)
        self._sealer = sealer

    @property
    def read(self) -> int:
        """How many files were read."""
        return self._reader.read

    def gather(self) -> Generator[None, None, None]:
        """Recall or read everything, one directory after the other.

        What vanished meanwhile is dropped. Files that cannot be read join
        `Walk.unreadable`; after ten it gives up.

        Raises:
            ChangedError: A file kept changing while it was read.
        """
        with self._reader:
            self._begin_large()
            yield from self._gather()

    def _begin_large(self) -> None:
        for folder in self._found.folders:
            for part in folder.parts:
                if isinstance(part, Draft):
                    self._begin_large_of(part.facts())

    def _begin_large_of(self, facts: Facts) -> None:
        if max(facts.stats[1::FIELDS], default=0) < LARGE:
            return
        old = self._found.memory.of(facts.path, facts.part)
        if old is not None and old.has(facts):
            return
        known = {} if old is None else old.known()
        for name, seen, row in _each(facts):
            if seen[1] >= LARGE and known.get(name, (b"",))[0] != row:
                self._reader.begin(facts.path + name, seen)

    def _gather(self) -> Iterator[None]:
        for folder in self._found.folders:
            path, parts = folder.path, folder.parts
            sections: list[Section] = []
            targets: dict[str, str] = {}
            for index, part in enumerate(parts):
                if isinstance(part, Draft):
                    section = self._look(path, part.facts(), targets)
                    parts[index] = section
                else:
                    section = part
                    self.recalled += 1
                self._sealer.add(section)
                sections.append(section)
            self.of[path] = Content(path, folder.folders, sections, targets)
            yield
            if len(self._found.unreadable) >= _ENOUGH:
                return

    def _look(self, path: str, facts: Facts, targets: dict[str, str]) -> Section:
        """Take from memory what did not change, and the rest from the disk."""
        old = self._found.memory.of(facts.path, facts.part)
        links = any(map(stat.S_ISLNK, facts.stats[::FIELDS]))
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
            return old
        return section

    def _look_at_each(
        self, path: str, facts: Facts, old: Section | None, targets: dict[str, str]
    ) -> tuple[Facts, bytes]:
        known = {} if old is None else old.known()
        names: list[bytes] = []
        stats = array("q")
        digests: list[bytes] = []
        for name, seen, row in _each(facts):
            before, digest = known.get(name, _NOTHING)
            if stat.S_ISLNK(seen[0]):
                shown = os.fsdecode(name)
                target = self._target(path, shown)
                if target is None:
                    continue
                targets[shown] = target
                digest = hashlib.sha256(os.fsencode(target)).digest()
            elif row != before:
                found = self._digest(facts.path + name, seen)
                if found is None:
                    continue
                digest, seen = found  # noqa: PLW2901 - it may have moved meanwhile
            names.append(name)
            stats.extend(seen)
            digests.append(digest)
        looked = replace(facts, names=b"\0".join(names), stats=stats)
        return looked, b"".join(digests)

    def _digest(self, path: bytes, seen: Numbers) -> tuple[bytes, Numbers] | None:
        unreadable = self._found.unreadable
        if len(unreadable) >= _ENOUGH:
            return None
        try:
            return self._reader.digest(path, seen)
        except OSError as error:
            unreadable.append((os.fsdecode(path), error))
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


def _each(facts: Facts) -> Iterator[tuple[bytes, Numbers, bytes]]:
    """Names with their numbers, as such and as they are remembered."""
    if not facts.names:
        return iter(())
    packed = facts.stats.tobytes()
    rows = (packed[start : start + ROW] for start in range(0, len(packed), ROW))
    return zip(facts.names.split(b"\0"), iter_unpack("5q", packed), rows, strict=True)


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
