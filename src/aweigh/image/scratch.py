"""Directories of a build: they go with it, and what killed ones left goes later."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["scratch"]

_PREFIX: Final = "assemble-"
_ABANDONED_SECONDS: Final = 86_400.0


@asynccontextmanager
async def scratch(parent: Path) -> AsyncIterator[Path]:
    """Lend an empty directory; it is gone afterwards, also when cancelled."""
    path = Path(await asyncio.to_thread(_make_directory, parent))
    try:
        yield path
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))


def _make_directory(parent: Path) -> str:
    try:
        # A mode is for the last directory only, and the cache's own is private too.
        for directory in (parent.parent, parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in parent.glob(f"{_PREFIX}*"):
            _remove_abandoned(left)
        return tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    except OSError:
        # A cache that cannot be written costs time, and no more than that.
        return tempfile.mkdtemp(prefix=_PREFIX)


def _remove_abandoned(path: Path) -> None:
    """Remove what a killed process left; no build takes that long."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
