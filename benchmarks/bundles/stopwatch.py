"""Times one piece of work inside a process: clock, CPU, loop gaps, memory.

Standard library only: the peers' own interpreters run it too.
"""

from __future__ import annotations

import asyncio
import json
import resource
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import peak_mib

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["cpu_seconds", "measured", "say"]

_TICK = 0.001
_IDLE = 0.2


class _Ticker:
    """Wakes every millisecond and keeps the longest delay, in ms."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def run(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            late = time.perf_counter() - before - _TICK
            self.worst = max(self.worst, late * 1000)

    def take(self) -> float:
        """Return the longest delay so far, and start again."""
        worst, self.worst = self.worst, 0.0
        return worst


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that ended."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = map(resource.getrusage, both)
    return sum(one.ru_utime + one.ru_stime for one in used)


async def measured(work: Callable[[], Awaitable[Any]]) -> tuple[Any, dict[str, float]]:
    """Await work beside a ticker.

    Returns:
        What it returned, and the figures: ``seconds``, ``cpu_seconds`` (the ticker's
        1 to 2 % included), ``gap_ms``, the longest that the loop kept the ticker
        waiting, and ``idle_gap_ms``, the same before the work, on an idle loop.
    """
    ticker = _Ticker()
    ticking = asyncio.create_task(ticker.run())
    await asyncio.sleep(_IDLE)
    idle = ticker.take()
    used, began = cpu_seconds(), time.perf_counter()
    result = await work()
    seconds, used = time.perf_counter() - began, cpu_seconds() - used
    # Work that never let go of the loop is seen by the ticker only now.
    await asyncio.sleep(2 * _TICK)
    ticking.cancel()
    return result, {
        "seconds": seconds,
        "cpu_seconds": used,
        "gap_ms": ticker.take(),
        "idle_gap_ms": idle,
    }


def say(figures: dict[str, Any]) -> None:
    """Print figures, and this process's peak memory, as the last line."""
    print(json.dumps({**figures, "peak_mib": peak_mib()}))
