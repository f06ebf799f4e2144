"""The place beside a destination where a bundle is unpacked before anybody sees it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from aweigh.errors import TreeError

if TYPE_CHECKING:
    from aweigh.oci.digest import Digest

__all__ = ["MARKER", "Staging", "holds"]

# What `fetch` leaves in a directory; it is not part of the code that was fetched.
MARKER: Final = ".aweigh-bundle"


def holds(destination: Path, digest: Digest) -> bool:
    """Whether a directory already holds this bundle, as its marker says.

    Raises:
        TreeError: Something else is there.
    """
    marker = destination / MARKER
    try:
        if marker.read_text(encoding="utf-8").strip() == str(digest):
            return True
        what = "another bundle"
    except (FileNotFoundError, NotADirectoryError):
        if not destination.exists():
            return False
        what = "something else than a directory"
        if destination.is_dir():
            if not any(destination.iterdir()):
                return False
            what = "files that are not from this bundle"
    except (OSError, ValueError) as error:
        what = f"something unreadable ({type(error).__name__})"
    raise TreeError(
        f"{str(destination)!r} holds {what}",
        hint="fetch into a new or empty directory, or remove this one first",
    )


class Staging:
    """A directory that only its owner uses, and that a dead owner leaves recognisable.

    Its name begins with ``.<destination>.aweigh-`` and its owner holds an advisory
    lock on it. The kernel drops the lock with the owner, so whoever comes next can
    tell what is abandoned and removes it. All methods block.

    Attributes:
        path: The directory.
        tree: Where to unpack; not there yet.
        pack: Where to keep the download.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Own a directory that is open and locked; see `beside`."""
        self.path = path
        self.tree = path / "tree"
        self.pack = path / "pack.tar.zst"
        self._descriptor = descriptor

    @classmethod
    def beside(cls, destination: Path) -> Self:
        """Make a staging directory, and remove those that nobody owns any more.

        Raises:
            OSError: There can be none.
        """
        destination.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{destination.name}.aweigh-"
        _sweep(destination.parent, prefix)
        while True:
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=destination.parent))
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            # Where there are no locks, nothing can be swept either.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
            os.close(descriptor)

    def publish(self, destination: Path, digest: Digest) -> None:
        """Give the unpacked tree its final name, with its marker, in one step.

        Raises:
            TreeError: Something else came to be at the destination.
            OSError: The disk refused.
        """
        (self.tree / MARKER).write_text(f"{digest}\n", encoding="utf-8")
        try:
            self.tree.rename(destination)
        except OSError:
            # Where locks do not work, another process may have been faster.
            if not holds(destination, digest):
                raise

    def remove(self) -> None:
        """Remove whatever is left; a second call does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _sweep(parent: Path, prefix: str) -> None:
    for path in parent.iterdir():
        if not path.name.startswith(prefix):
            continue
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError):
            descriptor = os.open(path, flags)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
