"""The process a container was made by, so that others can tell when it is dead."""

from __future__ import annotations

import os
import socket

__all__ = ["HOLDER_LABEL", "holder_is_dead", "this_holder"]

HOLDER_LABEL = "aweigh.holder"


def this_holder() -> str:
    """Return ``HOST:PID`` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def holder_is_dead(holder: str) -> bool:
    """Tell whether a process is known to have ended.

    One of another machine may live, for all we know.
    """
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        # Another user's, or no process id at all.
        return False
    return False
