"""Finishing what must not be left half-done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["settled"]

T = TypeVar("T")


async def settled(work: Coroutine[object, object, T]) -> T:
    """Finish something however often we are cancelled meanwhile, then be cancelled."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            # The loop shall not call its fault lost: the cancellation hides it.
            task.exception()
        raise cancelled
    return task.result()
