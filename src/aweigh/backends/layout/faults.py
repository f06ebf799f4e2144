"""The one place where faults of the disk become errors of a layout."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aweigh.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["damaged", "disk_faults"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def disk_faults(root: Path, doing: str) -> Iterator[None]:
    """Map what the operating system refuses.

    Args:
        root: The layout.
        doing: What is being done, for the message.

    Raises:
        LayoutError: Always for an OSError.
    """
    try:
        yield
    except OSError as error:
        raise LayoutError(
            f"cannot {doing} in the image layout {root}: {error.strerror or error}",
            hint=_hint(root, error.errno),
        ) from error


def damaged(root: Path, what: str) -> LayoutError:
    """Return the error for a layout that says what no layout says."""
    return LayoutError(
        f"the image layout {root} is damaged: {what}",
        hint=f"delete {root}: what is still wanted is built again",
    )


def _hint(root: Path, code: int | None) -> str:
    if code in _FULL:
        return (
            f"make room, for example by deleting {root} (what is still wanted is "
            "built again), or set AWEIGH_DATA_DIR to a larger disk"
        )
    if code in _REFUSED:
        return f"make {root} yours and writable, or set AWEIGH_DATA_DIR elsewhere"
    return "look at the disk, or set AWEIGH_DATA_DIR elsewhere"
