"""What an archive holds: its members, and which paths they may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.oci.digest import Digest

__all__ = ["Member", "MemberKind", "Names"]

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
    """The member paths seen so far: each safe, none twice, none inside a file."""

    def __init__(self) -> None:
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
        parent = path.rpartition("/")[0]
        while parent not in self._parents:
            if parent in self._leaves:
                return "lies inside something that is no directory"
            self._parents.add(parent)
            parent = parent.rpartition("/")[0]
        return ""
