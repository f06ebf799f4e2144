"""Blocking iterators in coroutines: off the loop, in order, always closed."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from aweigh.archive.stream import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator


class Source:
    """A generator that notes where it ran and that it was closed."""

    def __init__(self, *, delay: float = 0.0, fail: bool = False) -> None:
        self.closed = 0
        self.threads: set[int] = set()
        self._delay = delay
        self._fail = fail

    def chunks(self) -> Iterator[bytes]:
        """Three pieces, or an error after the second."""
        try:
            for number in range(3):
                self.threads.add(threading.get_ident())
                time.sleep(self._delay)
                if self._fail and number == 2:
                    raise OSError("disk on fire")
                yield b"%d" % number
        finally:
            self.closed += 1


async def test_pieces_come_in_order_from_other_threads() -> None:
    """All pieces, none made on the event loop's thread."""
    source = Source()
    assert [chunk async for chunk in in_thread(source.chunks())] == [b"0", b"1", b"2"]
    assert threading.get_ident() not in source.threads
    assert source.closed == 1


async def test_plain_iterators_work_too() -> None:
    """An iterator without close() is iterated all the same."""
    assert [chunk async for chunk in in_thread(iter([b"a"]))] == [b"a"]


async def test_a_failure_comes_out_and_closes() -> None:
    """The iterator's own exception reaches the consumer."""
    source = Source(fail=True)
    with pytest.raises(OSError, match="fire"):
        async for _ in in_thread(source.chunks()):
            pass
    assert source.closed == 1


async def test_stopping_early_closes() -> None:
    """A consumer that leaves closes the iterator before it goes on."""
    source = Source()
    async with aclosing(in_thread(source.chunks())) as stream:
        async for _ in stream:
            break
    assert source.closed == 1


async def test_cancellation_waits_for_the_piece_and_closes() -> None:
    """Cancelled while a piece is made: the generator is not entered twice."""
    source = Source(delay=0.1)

    async def consume() -> None:
        async for _ in in_thread(source.chunks()):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.15)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed == 1


async def test_the_loop_stays_awake() -> None:
    """While a slow piece is made, other tasks run."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker = asyncio.create_task(tick())
    async for _ in in_thread(Source(delay=0.1).chunks()):
        pass
    ticker.cancel()
    assert ticks > 8
