"""Wheels that were built here, by what they were built from: on the disk, verified."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.wheels.archive import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.oci import Digest

__all__ = ["WheelStore"]

_KEPT: Final = 64
_KEY_LETTERS: Final = 64


class WheelStore:
    """A directory of wheels: ``<key>/<sha256>/<file name>``.

    An entry appears and disappears as a whole; the least recently used ones go when
    there are many. All methods block on the disk.

    Args:
        directory: Where; made when the first wheel is kept.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, key: Digest) -> Path | None:
        """Return a wheel whose content is what was kept, or None."""
        entry = self._directory / key.hex
        found = list(entry.glob("*/*.whl"))
        # Another process may be forgetting it.
        with contextlib.suppress(OSError):
            if len(found) == 1 and digest_of(found[0]) == found[0].parent.name:
                os.utime(entry)
                return found[0]
        if entry.exists():
            shutil.rmtree(entry, ignore_errors=True)
        return None

    def keep(self, key: Digest, wheel: Path) -> Path:
        """Take over a wheel; what another process kept by now is as good.

        Args:
            key: What it was built from.
            wheel: It, in a directory of its own on the same file system.
        """
        digest = digest_of(wheel)
        entry = self._directory / key.hex
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = wheel.parent / "entry"
        (made / digest).mkdir(parents=True)
        wheel.rename(made / digest / wheel.name)
        try:
            made.rename(entry)
        except OSError:
            found = self.find(key)
            if found is not None:
                return found
            made.rename(entry)
        self._forget_old()
        return entry / digest / wheel.name

    def _forget_old(self) -> None:
        used = {}
        for entry in filter(_is_entry, self._directory.iterdir()):
            with contextlib.suppress(OSError):
                used[entry] = entry.stat().st_mtime
        for entry in sorted(used, key=used.__getitem__, reverse=True)[_KEPT:]:
            shutil.rmtree(entry, ignore_errors=True)


def _is_entry(path: Path) -> bool:
    """Whether a name is a key: what else lies there is not ours."""
    return len(path.name) == _KEY_LETTERS
