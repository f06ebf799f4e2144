"""Where objects are kept, as handles of obstore's."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Protocol

from obstore.exceptions import BaseError
from obstore.store import LocalStore

if TYPE_CHECKING:
    from pathlib import Path

    from obstore.store import ObjectStore as Handle

__all__ = ["LazyDirectory", "Place", "Remote"]


class Place(Protocol):
    """Hands out obstore's handles; blocking where a disk is involved."""

    def reading(self) -> Handle | None:
        """Return the handle for reading; None when there cannot be anything."""
        ...

    def writing(self) -> Handle:
        """Return the handle for small objects.

        Raises:
            OSError: There can be no such place.
        """
        ...

    def parts(self) -> Handle:
        """Return the handle for uploads in parts."""
        ...


class Remote:
    """A place that is somewhere else, or in memory."""

    def __init__(self, handle: Handle, parts: Handle) -> None:
        """Keep the handles; they open connections when they are used."""
        self._handle = handle
        self._parts = parts

    def reading(self) -> Handle | None:
        """Return the handle for everything but parts."""
        return self._handle

    def writing(self) -> Handle:
        """Return the handle for everything but parts."""
        return self._handle

    def parts(self) -> Handle:
        """Return the handle for uploads in parts."""
        return self._parts


class LazyDirectory:
    """A directory, which is made when something is first put into it.

    Its mode, and that of everything in it, is what the umask leaves: whether others
    may read a store is decided by whoever makes it.
    """

    def __init__(self, path: Path) -> None:
        """Name the directory."""
        self._path = path
        self._handle: LocalStore | None = None

    def reading(self) -> Handle | None:
        """Return its handle, or None while the directory is not there."""
        if self._handle is None and self._path.is_dir():
            self._handle = LocalStore(self._path)
        return self._handle

    def writing(self) -> Handle:
        """Return its handle, and make the directory when it is not there."""
        if self._handle is None:
            self._path.mkdir(parents=True, exist_ok=True)
            try:
                self._handle = LocalStore(self._path)
            except BaseError as error:
                raise NotADirectoryError(errno.ENOTDIR, "no directory") from error
        return self._handle

    def parts(self) -> Handle:
        """Return its handle."""
        return self.writing()
