"""Symlinks of an archive that may be hostile: none may lead out of it.

The standard library's extraction filters are not used: they had escapes
(CVE-2025-4517 and its siblings) in interpreters that are still in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["refuse_escapes"]

_MAX_LINKS: Final = 40
# Names that may be looked up for all links together. Honest ones need a few each; a
# hostile one can need 40 times the longest path.
_STEPS: Final = 1_000_000
_STEPS_EACH: Final = 1_000


def refuse_escapes(links: Mapping[str, str]) -> None:
    """Refuse symlinks that lead out of the directory they are in, also together.

    Args:
        links: Their targets, by path.

    Raises:
        DamagedError: One does, or they are made to take for ever.
    """
    follower = _Follower(links)
    for path, target in links.items():
        if not target or "\0" in target or follower.leaves(path, target):
            raise _harmful(f"symlink {path!r} leaves the directory")


class _Place:
    """A name in the tree of all paths of symlinks.

    Attributes:
        target: Where it leads when it is a symlink.
        inner: What is below it.
    """

    __slots__ = ("inner", "target")

    def __init__(self) -> None:
        self.target: str | None = None
        self.inner: dict[str, _Place] = {}


class _Follower:
    """Follows symlinks the way a kernel would, with the root as the outer limit.

    Comparing texts is not enough: with ``a -> .`` the link ``b -> a/..`` looks
    harmless and leads out. A loop leads nowhere and is harmless.
    """

    def __init__(self, links: Mapping[str, str]) -> None:
        self._root = _Place()
        self._left = _STEPS + _STEPS_EACH * len(links)
        for path, target in links.items():
            place = self._root
            for name in path.split("/"):
                place = place.inner.setdefault(name, _Place())
            place.target = target

    def leaves(self, path: str, target: str) -> bool:
        """Whether a symlink leads out."""
        here = self._parents(path)
        todo = target.split("/")[::-1]
        if target.startswith("/"):
            return True
        followed = 0
        while todo:
            self._count()
            name = todo.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                if len(here) == 1:
                    return True
                here.pop()
                continue
            place = here[-1].inner.get(name) if here[-1] else None
            if place is None or place.target is None:
                here.append(place)
                continue
            followed += 1
            if followed > _MAX_LINKS:
                return False
            if place.target.startswith("/"):
                return True
            todo.extend(place.target.split("/")[::-1])
        return False

    def _parents(self, path: str) -> list[_Place | None]:
        """Return the places above a path; None is one that holds no symlink."""
        here: list[_Place | None] = [self._root]
        place = self._root
        for name in path.split("/")[:-1]:
            place = place.inner[name]
            here.append(place)
        return here

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _harmful("the symlinks lead through each other without end")


def _harmful(what: str) -> DamagedError:
    return DamagedError(
        what, hint="it was made to harm; upload it anew from a tree you trust"
    )
