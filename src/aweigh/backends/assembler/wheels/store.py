"""Wheels that were built here, by what they were built from: on the disk, verified."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.private import is_private
from aweigh.backends.assembler.wheels.archive import digest_of

if TYPE_CHECKING:
    from aweigh.oci import Digest

__all__ = ["WheelStore"]

_KEPT: Final = 64
_KEY_LETTERS: Final = 64
_NEW: Final = "new-"


class WheelStore:
    """A directory of wheels: ``<key>/<sha256>/<file name>``.

    An entry appears and disappears as a whole; the least recently used ones go when
    there are many. All methods block on the disk.

    Args:
        directory: Where; made when the first wheel is kept. One that others may write,
            or that we may not, is not used: wheels are then kept until this store goes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: Path | None = None

    def find(self, key: Digest) -> Path | None:
        """Return a wheel whose content is what was kept, or None."""
        home = self._own or self._directory
        if self._own is None and not is_private(home):
            return None
        entry = home / key.hex
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
            wheel: It, in a directory of its own.

        Raises:
            OSError: The disk is full.
        """
        digest = digest_of(wheel)
        home = self._home()
        entry = home / key.hex
        made = Path(tempfile.mkdtemp(prefix=_NEW, dir=home))
        (made / digest).mkdir()
        shutil.move(wheel, made / digest / wheel.name)
        try:
            made.rename(entry)
        except OSError:
            found = self.find(key)
            if found is not None:
                shutil.rmtree(made, ignore_errors=True)
                return found
            made.rename(entry)
        self._forget_old(home)
        return entry / digest / wheel.name

    def _home(self) -> Path:
        """Return the directory, or one of our own when it cannot be used."""
        if self._own is None:
            with contextlib.suppress(OSError):
                self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                if is_private(self._directory) and os.access(self._directory, os.W_OK):
                    return self._directory
            self._own = Path(tempfile.mkdtemp(prefix="aweigh-wheels-"))
            weakref.finalize(self, shutil.rmtree, self._own, ignore_errors=True)
        return self._own

    def _forget_old(self, home: Path) -> None:
        used = {}
        for entry in filter(_is_entry, home.iterdir()):
            with contextlib.suppress(OSError):
                used[entry] = entry.stat().st_mtime
        for entry in sorted(used, key=used.__getitem__, reverse=True)[_KEPT:]:
            shutil.rmtree(entry, ignore_errors=True)


def _is_entry(path: Path) -> bool:
    """Whether a name is a key, or an entry that a killed process did not finish."""
    return len(path.name) == _KEY_LETTERS or path.name.startswith(_NEW)
