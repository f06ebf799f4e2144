"""Image and bundle side by side, remembered together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.concurrency.together import both
from aweigh.memory import DeferredMemory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.bundle.bundle import Bundle
    from aweigh.bundle.upload import Uploaded
    from aweigh.image.image import Image
    from aweigh.memory import Memory
    from aweigh.tree.scan import Tree

__all__ = ["Prepared", "Ready", "prepare"]


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


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was prepared, and the files as they were then.

    Attributes:
        ready: What a task needs to start.
        tree: What the bundle was made of.
    """

    ready: Ready
    tree: Tree


async def prepare(
    ensure: Callable[[Memory], Awaitable[Image]],
    upload: Callable[[Memory], Awaitable[Uploaded]],
    memory: Memory,
) -> Prepared:
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
        image, uploaded = await both(ensure(deferred), upload(deferred))
    finally:
        await deferred.flush()
    ready = Ready(
        image=image,
        bundle=uploaded.bundle,
        seconds=time.perf_counter() - started,
    )
    return Prepared(ready, uploaded.tree)
