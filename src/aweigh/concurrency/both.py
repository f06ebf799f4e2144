"""Things at the same time, of which the first failure ends the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

__all__ = ["both", "every"]

A = TypeVar("A")
B = TypeVar("B")


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

    Raises:
        Exception: The first failure; the others are cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_wait(work)) for work in works]
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


async def _wait(work: Awaitable[A]) -> A:
    return await work
