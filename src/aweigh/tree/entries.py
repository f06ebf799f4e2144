"""The entries of a tree, made when asked for: an unchanged tree needs none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, overload

from aweigh.tree.collisions import colliding
from aweigh.tree.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aweigh.tree.content import Content
    from aweigh.tree.entry import Entry

__all__ = ["Entries", "early_rows"]

_END: Final = object()


def early_rows(of: dict[str, Content], gathering: Iterator[None]) -> Iterator[Rows]:
    """Go through the entries of a tree while its directories are being read.

    Args:
        of: The directories that were read.
        gathering: Reads the next one, in the order of their paths.

    They are those of `Entries.rows`, but for empty directories.
    """

    def listing(path: str) -> Iterator[Rows | str]:
        while path not in of:
            if next(gathering, _END) is _END:
                return
        content = of[path]
        children = {os.fsencode(f"{name}/"): name for name in content.folders}
        breaks = sorted(children)
        for item in content.rows(breaks):
            yield f"{path}{children[breaks[item]]}/" if isinstance(item, int) else item

    return _unrolled(listing)


def _unrolled(listing: Callable[[str], Iterator[Rows | str]]) -> Iterator[Rows]:
    """Go through directories in directories; a deep tree needs no deep stack."""
    stack = [listing("")]
    while stack:
        for item in stack[-1]:
            if isinstance(item, str):
                stack.append(listing(item))
                break
            yield item
        else:
            stack.pop()


class Entries(Sequence["Entry"]):
    """All entries of a tree by the bytes of their paths.

    Going through them makes them anew each time, one directory at a time, so that a
    large tree need not be in memory; asking for one of them by number keeps them all.
    Equal to any sequence of the same entries.
    """

    __slots__ = ("_all", "_count", "_filled", "_of")

    def __init__(self, contents: dict[str, Content]) -> None:
        """Count the entries of directories that are in the walk's order."""
        self._of = contents
        self._all: tuple[Entry, ...] | None = None
        self._count = 0
        # Whether anything is in a directory, by its path; children come first.
        self._filled: dict[str, bool] = {}
        for path, content in reversed(contents.items()):
            count = content.count
            filled = count > 0
            for child in self._children(content) if content.folders else ():
                if self._filled[child]:
                    filled = True
                elif contents[child].kept_empty:
                    filled = True
                    count += 1
            self._count += count
            self._filled[path] = filled

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        if self._all is None:
            self._all = tuple(self._made())
        return self._all[index]

    def __iter__(self) -> Iterator[Entry]:
        return self._made() if self._all is None else iter(self._all)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def collisions(self) -> tuple[tuple[str, ...], ...]:
        """Paths that are equal but for case or Unicode's composed forms."""
        found: list[tuple[str, ...]] = []
        for content in self._of.values():
            count = content.count + len(content.folders)
            found.extend(
                tuple([content.path + name for name in group])
                for group in colliding(content.all_names, count)
            )
        return tuple(found)

    def rows(self) -> Iterator[Rows]:
        """All of them as columns, some of one directory at a time."""
        return _unrolled(self._listing)

    def _made(self) -> Iterator[Entry]:
        for rows in self.rows():
            yield from rows.entries()

    def _listing(self, path: str) -> Iterator[Rows | str]:
        """A directory's entries and, as paths, the directories to go on with."""
        content = self._of.get(path)
        if content is None:
            return
        inside: dict[bytes, Rows | str] = {}
        for child in self._children(content):
            if self._filled[child]:
                # A slash sorts the directory where the paths of its content belong.
                inside[os.fsencode(child.removeprefix(path))] = child
        for child in self._empty(content):
            raw = os.fsencode(child[:-1])
            inside[raw[len(os.fsencode(path)) :]] = Rows.directory(raw)
        breaks = sorted(inside)
        for item in content.rows(breaks):
            yield inside[breaks[item]] if isinstance(item, int) else item

    def _children(self, content: Content) -> Iterator[str]:
        """Its directories that were not gone when they were looked into."""
        children = (f"{content.path}{name}/" for name in content.folders)
        return (child for child in children if child in self._filled)

    def _empty(self, content: Content) -> list[str]:
        """Its directories that are entries themselves."""
        return [
            child
            for child in self._children(content)
            if not self._filled[child] and self._of[child].kept_empty
        ]
