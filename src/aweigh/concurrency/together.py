"""Things at the same time, of which the first failure ends the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["both", "every", "leaves", "side_by_side"]

A = TypeVar("A")
B = TypeVar("B")
E = TypeVar("E", bound=BaseException)


async def both(one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
    """Await two things at the same time.

    The first failure cancels the other, as cancelling the caller cancels both; this
    returns when both have ended.

    Raises:
        Exception: What the failing one raised.
        ExceptionGroup: Both failed.
    """
    try:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(_wait(one))
            second = group.create_task(_wait(other))
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__
        raise
    return first.result(), second.result()


async def every(works: Iterable[Awaitable[A]]) -> list[A]:
    """Await any number of things at the same time and return what they return.

    Cancelling cancels all. Either way nothing is under way when it returns.

    Raises:
        Exception: The first failure, as it was raised; the others are cancelled.
    """
    failed: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_wait(work)) for work in works]
    except BaseExceptionGroup as failures:
        failed = failures.exceptions[0]
    if failed is not None:
        # Not in the block above, which would put the group in its traceback.
        raise failed
    return [task.result() for task in tasks]


async def side_by_side(
    things: Iterable[A], work: Callable[[A], Awaitable[None]], *, limit: int
) -> None:
    """Do some work for each thing, at most ``limit`` at a time.

    Cancelling cancels all. Either way nothing is under way when it returns.

    Raises:
        Exception: The first failure, as it was raised; the others are cancelled.
    """
    listed = list(things)
    todo = iter(listed)

    async def worker() -> None:
        for thing in todo:
            await work(thing)

    await every(worker() for _ in listed[:limit])


def leaves(group: BaseExceptionGroup[E]) -> list[E]:
    """Return the failures of a group, whatever groups they are in."""
    found: list[E] = []
    for one in group.exceptions:
        found += leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


async def _wait(work: Awaitable[A]) -> A:
    return await work
