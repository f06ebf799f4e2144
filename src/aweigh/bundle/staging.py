"""The place beside a destination where a bundle is unpacked before anybody sees it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from aweigh.bundle.marker import MARKER
from aweigh.errors import TreeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.oci.digest import Digest

__all__ = ["Staging", "holds"]

_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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

    What a dead owner downloaded of the same bundle is taken over.

    Attributes:
        path: The directory.
        tree: Where to unpack; not there yet.
        taken_over: Whether there may be packs of a dead owner.
    """

    def __init__(self, path: Path, descriptor: int, *, taken_over: bool) -> None:
        """Own a directory that is open and locked; see `beside`."""
        self.path = path
        self.tree = path / "tree"
        self.taken_over = taken_over
        self._packs = path / "packs"
        self._packs.mkdir(exist_ok=True)
        self._descriptor = descriptor

    def pack(self, listing: Digest) -> Path:
        """Say where to keep a pack; what is there under this name came whole."""
        return self._packs / listing.hex

    def start_over(self) -> None:
        """Throw away everything in it."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.rmtree(self._packs)
        self._packs.mkdir()
        self.taken_over = False

    @classmethod
    def beside(cls, destination: Path, digest: Digest) -> Self:
        """Make a staging directory, or take one over that nobody owns any more.

        All others that nobody owns are removed.

        Raises:
            OSError: There can be none.
        """
        destination.parent.mkdir(parents=True, exist_ok=True)
        prefix = _prefix(destination)
        ours = f"{prefix}{digest.hex[:8]}-"
        found: Self | None = None
        for path, descriptor in _abandoned(destination.parent, prefix):
            if found is None and path.name.startswith(ours):
                shutil.rmtree(path / "tree", ignore_errors=True)
                found = cls(path, descriptor, taken_over=True)
                continue
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)
        while found is None:
            path = Path(tempfile.mkdtemp(prefix=ours, dir=destination.parent))
            descriptor = os.open(path, _FLAGS)
            # Where there are no locks, nothing can be swept either.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor, taken_over=False)
            os.close(descriptor)
        return found

    @staticmethod
    def sweep(destination: Path) -> None:
        """Remove what nobody owns any more beside a destination that is whole.

        Its owner may have died after the last step but one: the renaming.
        """
        with suppress(OSError):
            for path, descriptor in _abandoned(
                destination.parent, _prefix(destination)
            ):
                shutil.rmtree(path, ignore_errors=True)
                os.close(descriptor)

    def publish(self, destination: Path, digest: Digest) -> None:
        """Give the unpacked tree its final name, with its marker, in one step.

        Raises:
            TreeError: Something else came to be at the destination.
            OSError: The disk refused.
        """
        with (self.tree / MARKER).open("x", encoding="utf-8") as file:
            file.write(f"{digest}\n")
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


def _prefix(destination: Path) -> str:
    return f".{destination.name}.aweigh-"


def _abandoned(parent: Path, prefix: str) -> Iterator[tuple[Path, int]]:
    """Find directories that nobody owns, open and locked from now on."""
    for path in list(parent.iterdir()):
        if not path.name.startswith(prefix):
            continue
        with suppress(OSError):
            descriptor = os.open(path, _FLAGS)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            if os.fstat(descriptor).st_nlink:
                yield path, descriptor
            else:
                os.close(descriptor)
