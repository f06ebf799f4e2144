"""What an archive holds: its members, and which paths they may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aweigh.errors import TreeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from aweigh.oci.digest import Digest

__all__ = ["Member", "MemberKind", "Names", "checked", "with_directories"]

MemberKind = Literal["file", "symlink", "directory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of a tar stream.

    Attributes:
        path: Where it goes: relative, with ``/`` between names, `os.fsdecode`d.
        kind: ``file``, ``symlink`` or ``directory``.
        executable: Whether a file gets mode 0755 instead of 0644.
        size: Bytes of a file's content, 0 otherwise.
        target: The text of a symlink.
        source: What a file holds: bytes, or the path of a regular file to read.
        digest: What the content must have, checked while it is read.
    """

    path: str
    kind: MemberKind
    executable: bool = False
    size: int = 0
    target: str = ""
    source: Path | bytes | None = None
    digest: Digest | None = None


class Names:
    """The member paths seen so far: each safe, none twice, none inside a file.

    Attributes:
        held: Characters of all names that are kept, those of parents included.
    """

    def __init__(self) -> None:
        self.held = 0
        self._seen: set[str] = set()
        self._leaves: set[str] = set()
        self._parents: set[str] = {""}

    def add(self, path: str, kind: MemberKind) -> str:
        """Note a path and say why it cannot be one; empty when it can."""
        if path in self._seen:
            return "is there twice"
        if not path or path.startswith("/") or "\0" in path:
            return "is not a relative path"
        if any(name in {"", ".", ".."} for name in path.split("/")):
            return "is not a plain path"
        if kind != "directory":
            if path in self._parents:
                return "is also the parent of another member"
            self._leaves.add(path)
        self._seen.add(path)
        self.held += len(path)
        parent = path.rpartition("/")[0]
        while parent not in self._parents:
            if parent in self._leaves:
                return "lies inside something that is no directory"
            self._parents.add(parent)
            self.held += len(parent)
            parent = parent.rpartition("/")[0]
        return ""


def checked(members: Iterable[Member]) -> Iterator[Member]:
    """Pass on members whose paths can be in one archive.

    Raises:
        TreeError: A path is unsafe, there twice, or inside a file.
    """
    names = Names()
    for member in members:
        wrong = names.add(member.path, member.kind)
        if wrong:
            raise TreeError(
                f"{member.path!r} {wrong}: it cannot go into an archive",
                hint="give each member its own relative path without '.' and '..'",
                paths=[member.path],
            )
        yield member


def with_directories(members: Iterable[Member]) -> Iterator[Member]:
    """Put each directory before the first member in it.

    Members come in the order of their paths' bytes, so that no path need be kept; one
    that is itself a directory with others in it is there twice in the end.
    """
    here = ""
    for member in members:
        parent = member.path.rpartition("/")[0]
        while here and not f"{parent}/".startswith(f"{here}/"):
            here = here.rpartition("/")[0]
        missing = []
        above = parent
        while above != here:
            missing.append(above)
            above = above.rpartition("/")[0]
        for path in reversed(missing):
            yield Member(path=path, kind="directory")
        here = parent
        yield member
