"""Files that a thread opens, and that stay open for nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO, Literal

__all__ = ["opened"]


async def opened(path: Path, mode: Literal["rb", "wb"]) -> BinaryIO:
    """Open a file in a worker thread.

    Raises:
        OSError: It cannot be opened.

    Cancelling does not wait; what the thread opens all the same is closed.
    """
    opening = asyncio.ensure_future(asyncio.to_thread(path.open, mode))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_drop)
        raise


def _drop(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
