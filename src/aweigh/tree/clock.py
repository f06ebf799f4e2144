"""When a file's times are old enough to be believed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

__all__ = ["settled_before"]

_SECOND: Final = 1_000_000_000
_MARGIN: Final = 2 * _SECOND
# A file server stamps files by its own clock, which nothing read-only reveals.
_REMOTE_MARGIN: Final = 900 * _SECOND
_REMOTE: Final = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "glusterfs", "lustre")
)
_MOUNTS: Final = Path("/proc/self/mountinfo")


def settled_before(device: int) -> int:
    """Say before which time, in ns, a file must have changed last to be believed.

    A file written twice within one tick of its clock looks the same afterwards, so
    a file that is younger than any tick is read again next time (git's "racily
    clean" entries, Documentation/technical/racy-git). Local file systems stamp by
    the clock we read; for remote ones 15 minutes allow for the server's.

    Args:
        device: The ``st_dev`` of the directory that is about to be walked.
    """
    margin = _REMOTE_MARGIN if _file_system(device) in _REMOTE else _MARGIN
    return time.time_ns() - margin


def _file_system(device: int) -> str:
    """The type of a mounted file system, by proc_pid_mountinfo(5); empty if unknown."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields = line.split(" ")
        if fields[2:3] == [wanted] and "-" in fields:
            kind = fields[fields.index("-") + 1]
            return "nfs" if kind.startswith("fuse.sshfs") else kind
    return ""
