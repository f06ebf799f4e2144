"""A directory that files are unpacked into, held by its descriptor.

Names are looked up one by one below it and never through a symlink, so that nobody can
lead what is written elsewhere by renaming a directory meanwhile.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Folder"]

_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """The directory that files are written into now; its methods block.

    Attributes:
        descriptor: Of that directory.
        path: Which it is, below the root.
    """

    def __init__(self, root: Path) -> None:
        """Name the root; nothing is opened yet."""
        self._root = root
        self._top = -1
        self.descriptor = -1
        self.path = ""

    def open(self, made: set[str]) -> None:
        """Open the root, made when it is the first time."""
        if "" not in made:
            self._root.mkdir(mode=0o755)
            made.add("")
        self._top = self.descriptor = os.open(self._root, _FLAGS)

    def enter(self, path: str, made: set[str]) -> None:
        """Go to a directory, and make it and its parents once.

        One that is there and was not made by us is another's namesake.
        """
        here = os.dup(self._top)
        try:
            whole = ""
            for name in path.split("/") if path else ():
                whole = f"{whole}/{name}" if whole else name
                if whole not in made:
                    os.mkdir(name, 0o755, dir_fd=here)
                    made.add(whole)
                inner = os.open(name, _FLAGS, dir_fd=here)
                os.close(here)
                here = inner
        except BaseException:
            os.close(here)
            raise
        self._leave()
        self.descriptor, self.path = here, path

    def close(self) -> None:
        """Close what is open."""
        self._leave()
        if self._top >= 0:
            os.close(self._top)

    def _leave(self) -> None:
        if self.descriptor not in {-1, self._top}:
            os.close(self.descriptor)
        self.descriptor = self._top
