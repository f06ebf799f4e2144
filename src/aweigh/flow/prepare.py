"""Image and bundle side by side, remembered together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aweigh.memory import DeferredMemory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.bundle.bundle import Bundle
    from aweigh.image.image import Image
    from aweigh.memory import Memory

__all__ = ["Ready", "prepare"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Everything a task needs to start.

    Attributes:
        image: Its container image.
        bundle: Its code.
        seconds: How long it took to have both.
    """

    image: Image
    bundle: Bundle
    seconds: float


async def prepare(
    ensure: Callable[[Memory], Awaitable[Image]],
    upload: Callable[[Memory], Awaitable[Bundle]],
    memory: Memory,
) -> Ready:
    """Make image and bundle exist at the same time.

    The first failure cancels the other branch. What either verified is remembered in
    one transaction, also when the other failed or the caller was cancelled.

    Args:
        ensure: The image branch; it recalls from and remembers to what it is given.
        upload: The bundle branch, likewise.
        memory: What really remembers.

    Raises:
        AweighError: What the failing branch raised.
        ExceptionGroup: Both branches failed.
    """
    started = time.perf_counter()
    deferred = DeferredMemory(memory)
    try:
        async with asyncio.TaskGroup() as group:
            image = group.create_task(_branch(ensure, deferred))
            bundle = group.create_task(_branch(upload, deferred))
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__
        raise
    finally:
        await deferred.flush()
    return Ready(
        image=image.result(),
        bundle=bundle.result(),
        seconds=time.perf_counter() - started,
    )


async def _branch(work: Callable[[Memory], Awaitable[T]], memory: Memory) -> T:
    return await work(memory)
