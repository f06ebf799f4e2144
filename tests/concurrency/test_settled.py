"""Work that is finished whatever happens to who waits for it."""

import asyncio

import pytest

from aweigh.concurrency.settled import settled


async def test_settled_work_is_finished_however_often_it_is_cancelled() -> None:
    """Then the cancelling is passed on, and the work's own fault is not."""
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.1)
        done.set()
        raise ZeroDivisionError

    settling = asyncio.create_task(settled(work()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert done.is_set()


async def test_settled_work_that_fails_says_so() -> None:
    """Uncancelled it is like any other."""

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await settled(work())
