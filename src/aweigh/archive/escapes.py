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


def refuse_escapes(links: Mapping[str, str]) -> None:
    """Refuse symlinks that lead out of the directory they are in, also together.

    Args:
        links: Their targets, by path.

    Raises:
        DamagedError: One does.
    """
    for path, target in links.items():
        if not target or "\0" in target or _leaves(path, links):
            raise DamagedError(
                f"symlink {path!r} leaves the directory",
                hint="it was made to harm; upload it anew from a tree you trust",
            )


def _leaves(path: str, links: Mapping[str, str]) -> bool:
    """Follow a symlink the way a kernel would, with the root as the outer limit.

    Comparing texts is not enough: with ``a -> .`` the link ``b -> a/..`` looks
    harmless and leads out. A loop leads nowhere and is harmless.
    """
    here: list[str] = path.split("/")[:-1]
    todo = links[path].split("/")[::-1]
    if links[path].startswith("/"):
        return True
    followed = 0
    while todo:
        name = todo.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            if not here:
                return True
            here.pop()
            continue
        here.append(name)
        target = links.get("/".join(here))
        if target is not None:
            followed += 1
            if followed > _MAX_LINKS:
                return False
            if target.startswith("/"):
                return True
            here.pop()
            todo.extend(target.split("/")[::-1])
    return False
