"""The git work tree a directory lies in, as far as ignore files go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Repository", "find_repository"]

_GITDIR: Final = "gitdir: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where a directory lies in its work tree.

    Attributes:
        inside: The directory below the work tree's root, with a final slash; empty
            at the root and outside of every work tree.
        ignore_files: The ignore files above the directory, strongest first: each
            with the folder it counts from (as `inside`), and its path.
    """

    inside: str = ""
    ignore_files: tuple[tuple[str, str], ...] = ()


def find_repository(root: str) -> Repository:
    """Look for the work tree that holds a directory; it need not be in one.

    Args:
        root: An absolute path without symlinks.
    """
    directory = Path(root)
    for top in (directory, *directory.parents):
        marker = top / ".git"
        if not (marker.is_file() or (marker / "HEAD").is_file()):
            continue
        relative = directory.relative_to(top).as_posix()
        inside = "" if relative == "." else f"{relative}/"
        above = []
        for parent in directory.parents if inside else ():
            below = parent.relative_to(top).as_posix()
            base = "" if below == "." else f"{below}/"
            above.append((base, str(parent / ".gitignore")))
            if parent == top:
                break
        above.append(("", os.fspath(_common(marker) / "info" / "exclude")))
        return Repository(inside=inside, ignore_files=tuple(above))
    return Repository()


def _common(marker: Path) -> Path:
    """The directory that a repository and its linked work trees share.

    gitrepository-layout(5): ``.git`` may be a file that names the directory, and
    that directory may name the common one.
    """
    try:
        if marker.is_dir():
            return marker
        text = os.fsdecode(marker.read_bytes()).strip()
        own = marker.parent / text.removeprefix(_GITDIR)
        shared = own / "commondir"
        if shared.is_file():
            return own / os.fsdecode(shared.read_bytes()).strip()
        return own
    except OSError:
        return marker
