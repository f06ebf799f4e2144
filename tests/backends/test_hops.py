"""Many pieces of blocking work share few changes of threads."""

import asyncio
import functools
import threading
import time

import pytest

from aweigh.backends.objects.hops import Hops


async def test_each_gets_its_own_result() -> None:
    """Results and errors go to whoever asked, in whatever thread they were made."""
    hops = Hops()

    def work(number: int) -> int:
        if number % 10 == 3:
            raise OSError(number)
        return number * number

    found = await asyncio.gather(
        *(hops.run(functools.partial(work, n)) for n in range(40)),
        return_exceptions=True,
    )
    assert [each for each in found if isinstance(each, int)] == [
        n * n for n in range(40) if n % 10 != 3
    ]
    failed = [each.errno or each.args[0] for each in found if isinstance(each, OSError)]
    assert failed == [3, 13, 23, 33]


async def test_what_is_asked_together_shares_threads() -> None:
    """Forty pieces need five hops, not forty."""
    hops = Hops()
    loop = asyncio.get_running_loop()
    changes = 0
    original = loop.run_in_executor

    def counting(*arguments: object) -> object:
        nonlocal changes
        changes += 1
        return original(*arguments)  # type: ignore[arg-type]

    loop.run_in_executor = counting  # type: ignore[method-assign,assignment]
    names = await asyncio.gather(
        *(hops.run(lambda: threading.current_thread().name) for _ in range(40))
    )
    assert changes == 5
    assert threading.main_thread().name not in names


async def test_cancelled_work_is_not_begun() -> None:
    """Who is cancelled before his turn leaves the others alone."""
    hops = Hops()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        time.sleep(0.05)

    tasks = [
        asyncio.create_task(hops.run(functools.partial(work, n))) for n in range(3)
    ]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert tasks[1].cancelled()
    assert begun == [0, 2]


async def test_a_loop_that_takes_no_more_work_says_so() -> None:
    """Nobody waits for ever for an executor that is gone."""
    hops = Hops()
    loop = asyncio.get_running_loop()
    await loop.shutdown_default_executor()
    with pytest.raises(RuntimeError):
        async with asyncio.timeout(5):
            await hops.run(lambda: None)
