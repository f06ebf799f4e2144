"""What a tree consists of: entries that are in, and what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aweigh.oci.digest import Digest

__all__ = ["Entry", "Kind", "Skipped"]


class Kind(StrEnum):
    """What an entry is; everything else that a directory may hold is skipped."""

    FILE = "file"
    SYMLINK = "symlink"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, symlink or empty directory of a tree.

    Attributes:
        path: Relative to the root, with ``/`` between names; `os.fsdecode`d, so
            `os.fsencode` gives the file system's bytes back.
        kind: What it is.
        executable: Whether a file's owner may execute it; no other bit counts.
        size: Bytes of a file's content, 0 otherwise.
        digest: The digest of a file's content, None otherwise.
        target: The text of a symlink, empty otherwise.
    """

    path: str
    kind: Kind
    executable: bool
    size: int
    digest: Digest | None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the directory that is not in the tree.

    Attributes:
        path: Relative to the root; a directory ends with ``/`` and stands for all
            that is in it.
        rule: Why: ``.gitignore:3: *.log``, ``built-in: .git/``, ``--exclude *.bin``,
            ``fifo``, ``socket`` or ``device``.
        size: Bytes of a file's content; 0 for a directory, which is not looked into.
    """

    path: str
    rule: str
    size: int
