"""Whether nobody else can have put something into a directory of ours."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_private"]


def is_private(directory: Path) -> bool:
    """Tell whether a directory and its parent, if they are there, are only ours.

    What somebody else wrote would get into images: digests that lie beside a file only
    tell damage from intent.
    """
    return _is_ours(directory) and _is_ours(directory.parent)


def _is_ours(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    others = stat.S_IWGRP | stat.S_IWOTH
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & others
    )
