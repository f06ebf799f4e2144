"""The files of the database: where they are and whether they may be trusted.

The database file is never opened by hand while it may be open elsewhere in the process:
closing any descriptor of it would drop SQLite's POSIX locks (SQLite, "How To Corrupt An
SQLite Database File", section 2.2). Only `Place.create` makes it, with O_EXCL, when
nobody can have it open.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aweigh.backends.localdb.faults import AbsentError, UnusableError

__all__ = ["Identity", "Place", "filesystem_type", "is_shared"]

_MOUNTS = Path("/proc/self/mountinfo")
# Tells backup tools, and our own walk, that nothing here is worth keeping.
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# See bford.info/cachedir\n"
_JOURNALS = ("-wal", "-shm", "-journal")

# Where several machines may map one file, or where locks and shared mappings are known
# to lie: write-ahead logs need coherent shared memory, rollback journals don't.
# fmt: off
_SHARED = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs",
    "panfs", "prl_fs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf",
    "virtiofs", "vmhgfs",
})
# fmt: on

Identity = tuple[int, int]
"""Device and inode: which file a path leads to."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory and the names in it; the schema's major version is in the names."""

    directory: Path

    @property
    def database(self) -> Path:
        """The database file."""
        return self.directory / "aweigh-v1.db"

    @property
    def lock(self) -> Path:
        """The file whose lock serialises writers; it is never removed."""
        return self.directory / "aweigh-v1.lock"

    @property
    def uri(self) -> str:
        """The database for SQLite, which must not make it (its modes are too wide)."""
        return f"{self.database.absolute().as_uri()}?mode=rw"

    def identity(self) -> Identity:
        """Return which file is there, if it and its directory may be trusted.

        Raises:
            AbsentError: There is none.
            UnusableError: It, or its directory, is of the wrong kind or owner.
        """
        self._check_directory()
        try:
            found = self.database.lstat()
        except FileNotFoundError:
            raise AbsentError from None
        if not stat.S_ISREG(found.st_mode):
            raise UnusableError(
                f"{self.database} is not a regular file", hint="move it away"
            )
        _check_owner(self.database, found)
        return found.st_dev, found.st_ino

    def create(self) -> None:
        """Make the directory (0700) and an empty database file (0600) if need be.

        Journals inherit the mode from the file, so nothing is ever chmodded.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_directory()
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW
        with suppress(FileExistsError):
            tag = os.open(self.directory / "CACHEDIR.TAG", flags, 0o600)
            try:
                os.write(tag, _TAG)
            finally:
                os.close(tag)
        with suppress(FileExistsError):
            os.close(os.open(self.database, flags, 0o600))

    def set_aside(self, now: float) -> Path:
        """Rename the database and its journals; return the new name.

        The journals go first: a new database must never meet an old one's journal.
        """
        aside = self.database.with_name(
            f"{self.database.name}.corrupt-{int(now * 1000)}"
        )
        for suffix in (*_JOURNALS, ""):
            with suppress(FileNotFoundError):
                os.rename(f"{self.database}{suffix}", f"{aside}{suffix}")  # noqa: PTH104
        return aside

    def size(self) -> int:
        """Bytes of the database and its journals on disk."""
        total = 0
        for suffix in ("", *_JOURNALS):
            with suppress(OSError):
                total += os.stat(f"{self.database}{suffix}").st_size  # noqa: PTH116
        return total

    def _check_directory(self) -> None:
        try:
            found = self.directory.stat()
        except FileNotFoundError:
            raise AbsentError from None
        if not stat.S_ISDIR(found.st_mode):
            raise UnusableError(
                f"{self.directory} is not a directory", hint="move it away"
            )
        _check_owner(self.directory, found)
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UnusableError(
                f"{self.directory} can be written by other users",
                hint=f"chmod go-w {self.directory}",
            )


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise UnusableError(
            f"{path} belongs to user {found.st_uid}, not to user {os.geteuid()}",
            hint="choose another cache directory, or give this one to yourself",
        )


def is_shared(directory: Path) -> bool:
    """Whether the directory is on a network or otherwise shared file system."""
    try:
        mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:  # not Linux: nothing is known, and disks are the common case
        return False
    kind = filesystem_type(os.path.realpath(directory), mounts)
    return kind in _SHARED or kind.startswith("fuse.")


def filesystem_type(path: str, mounts: str) -> str:
    """Return the type of the file system a path is on, or "" when none matches.

    Args:
        path: Absolute, without links.
        mounts: The text of ``/proc/self/mountinfo`` (see proc(5)).
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:  # noqa: PLR2004  # the mount point is the fifth
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount covers an earlier one
            best, kind = point, right.split(" ", 1)[0]
    return kind
