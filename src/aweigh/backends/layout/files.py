"""Files that are there whole or not at all, whatever happens while they are written.

A file is written beside its place, flushed to the disk and renamed. Who writes holds a
lock on the unfinished file, which ends with the process: what can be locked was left
behind by one that died, and is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["adopt_file", "flush_directory", "remove_leftovers", "write_file"]

_PREFIX: Final = "partial-"
_ABANDONED_SECONDS: Final = 86_400.0
_MODE: Final = 0o644


def write_file(path: Path, content: bytes, *, workshop: Path) -> None:
    """Put content at a path, in place of what was there.

    Args:
        path: Where it belongs.
        content: All of it.
        workshop: A directory of the same file system for the unfinished file.

    Raises:
        OSError: The disk refused; what was at the path before is still there.
    """
    with _unfinished(workshop) as (file, name):
        file.write(content)
        _finish(file, name, path)


def adopt_file(path: Path, source: Path, *, workshop: Path) -> None:
    """Put a copy of a file at a path; without moving bytes where that is possible.

    The source must not change afterwards, other than being deleted.

    Raises:
        OSError: The disk refused; what was at the path before is still there.
    """
    with source.open("rb") as content:
        os.fchmod(content.fileno(), _MODE)
        os.fsync(content.fileno())
        # Refused between file systems, by some of them, and where a blob is already.
        with suppress(OSError):
            os.link(source, path)
            return
        with _unfinished(workshop) as (file, name):
            shutil.copyfileobj(content, file, 1 << 20)
            _finish(file, name, path)


def flush_directory(path: Path) -> None:
    """Make the names in a directory outlive a loss of power.

    Raises:
        OSError: The disk refused.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_leftovers(workshop: Path) -> None:
    """Remove the unfinished files of processes that died."""
    for left in workshop.glob(f"{_PREFIX}*"):
        with suppress(OSError), left.open("rb") as file:
            if _is_abandoned(file):
                left.unlink()


def _is_abandoned(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks; nobody writes for that long.
        return time.time() - os.fstat(file.fileno()).st_mtime > _ABANDONED_SECONDS
    return True


@contextmanager
def _unfinished(workshop: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Lend a new, locked file; it is gone afterwards unless it was renamed."""
    file, name = _open(workshop)
    try:
        with file:
            yield file, name
    finally:
        name.unlink(missing_ok=True)


def _open(workshop: Path) -> tuple[IO[bytes], Path]:
    while True:
        fd, name = tempfile.mkstemp(prefix=_PREFIX, dir=workshop)
        file = os.fdopen(fd, "wb")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        # Between its making and its lock it looked like a leftover.
        if os.fstat(fd).st_nlink:
            return file, Path(name)
        file.close()


def _finish(file: IO[bytes], name: Path, path: Path) -> None:
    file.flush()
    os.fchmod(file.fileno(), _MODE)
    os.fsync(file.fileno())
    name.replace(path)
