"""Works on many things side by side, and stops at the first failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["side_by_side"]

T = TypeVar("T")


async def side_by_side(
    things: Iterable[T], work: Callable[[T], Awaitable[None]], *, limit: int
) -> None:
    """Do some work for each thing, at most ``limit`` at a time.

    Raises:
        The first failure, as it was raised, while the others are cancelled:
        `asyncio.TaskGroup` would wrap it, and no caller here wants a group.

    Cancelling cancels all. Either way nothing is under way when it returns.
    """
    listed = list(things)
    if not listed:
        return
    todo = iter(listed)

    async def worker() -> None:
        for thing in todo:
            await work(thing)

    tasks = [asyncio.create_task(worker()) for _ in listed[:limit]]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        await _end(tasks)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them, however often we are cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    for task in tasks:
        task.cancel()
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            # Looked at, so that asyncio does not call it a forgotten failure.
            task.exception()
    if cancelled is not None:
        raise cancelled
