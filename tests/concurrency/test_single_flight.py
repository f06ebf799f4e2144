"""Single flight: one piece of work, many waiters, any of them may leave."""

import asyncio
import contextvars
import gc
import random
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aweigh.concurrency.single_flight import SingleFlight

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("caller")


class Work:
    """Work that the test starts, ends and counts."""

    def __init__(self) -> None:
        self.started = 0
        self.running = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.unwound = asyncio.Event()
        self.unwound.set()

    async def __call__(self) -> str:
        """Run until told to end; when cancelled, until told that it is unwound."""
        self.started += 1
        self.running += 1
        assert self.running == 1, "two runs at the same time"
        number = self.started
        try:
            await self.go.wait()
            return f"result {number}"
        except asyncio.CancelledError:
            self.cancelled += 1
            await self.unwound.wait()
            raise
        finally:
            self.running -= 1


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


def start(
    flights: SingleFlight[str], work: Callable[[], Awaitable[str]], count: int = 1
) -> list[asyncio.Task[str]]:
    """Start some callers for one key."""
    return [asyncio.create_task(flights.do("key", work)) for _ in range(count)]


@pytest.fixture(autouse=True)
async def no_complaints() -> None:
    """Fail when asyncio complains, such as about an error that nobody retrieved."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: complaints.append(context)
    )
    asyncio.get_running_loop().complaints = complaints  # type: ignore[attr-defined]


async def complaints() -> list[object]:
    """Return what asyncio complained about, garbage collected first."""
    await settle()
    gc.collect()
    found = asyncio.get_running_loop().complaints  # type: ignore[attr-defined]
    return list(found)


async def test_hundred_callers_do_the_work_once() -> None:
    """Everybody gets the one result, and nothing is left over."""
    flights, work = SingleFlight[str](), Work()
    callers = start(flights, work, 100)
    await settle()
    assert "key" in flights
    assert len(flights) == 1
    work.go.set()
    assert set(await asyncio.gather(*callers)) == {"result 1"}
    assert "key" not in flights
    assert len(flights) == 0
    assert 5 not in flights


async def test_keys_do_not_wait_for_each_other() -> None:
    """Two keys are two pieces of work."""
    flights, first, second = SingleFlight[str](), Work(), Work()
    tasks = [
        asyncio.create_task(flights.do("a", first)),
        asyncio.create_task(flights.do("b", second)),
    ]
    await settle()
    assert len(flights) == 2
    first.go.set()
    second.go.set()
    await asyncio.gather(*tasks)


async def test_a_new_call_starts_anew() -> None:
    """Results are shared while the work runs, and not kept."""
    flights, work = SingleFlight[str](), Work()
    work.go.set()
    assert await flights.do("key", work) == "result 1"
    assert await flights.do("key", work) == "result 2"


async def test_a_call_in_the_step_of_the_end_starts_anew() -> None:
    """Work that has just ended is not joined, even before anybody heard of its end."""
    flights = SingleFlight[str]()
    started: list[int] = []
    late: list[Coroutine[object, None, str]] = []

    async def work() -> str:
        started.append(1)
        if len(started) == 1:
            late.append(flights.do("key", work))
            asyncio.get_running_loop().call_soon(late[0].send, None)
        return "result"

    assert await flights.do("key", work) == "result"
    await settle()
    late[0].close()
    assert len(started) == 2


@pytest.mark.parametrize("leaver", [0, 1, 2])
async def test_one_cancelled_caller_leaves_alone(leaver: int) -> None:
    """Cancelling any one, the first included, does not disturb the others."""
    flights, work = SingleFlight[str](), Work()
    callers = start(flights, work, 3)
    await settle()
    callers[leaver].cancel()
    await settle()
    assert callers[leaver].cancelled()
    work.go.set()
    rest = [task for task in callers if not task.cancelled()]
    assert await asyncio.gather(*rest) == ["result 1", "result 1"]
    assert work.cancelled == 0


async def test_last_cancelled_caller_ends_the_work_and_waits_for_it() -> None:
    """When nobody waits any more the work is cancelled, and has ended at return."""
    flights, work = SingleFlight[str](), Work()
    work.unwound.clear()
    callers = start(flights, work, 2)
    await settle()
    for task in callers:
        task.cancel()
    await settle()
    assert callers[0].cancelled()
    assert not callers[1].done()
    callers[1].cancel()
    await settle()
    assert not callers[1].done()
    work.unwound.set()
    with pytest.raises(asyncio.CancelledError):
        await callers[1]
    assert (work.running, work.cancelled, len(flights)) == (0, 1, 0)


async def test_work_that_never_began_is_not_begun() -> None:
    """A caller gone before the work's first step starts nothing."""
    flights, work = SingleFlight[str](), Work()
    coroutine = flights.do("key", work)
    coroutine.send(None)
    coroutine.close()
    await settle()
    assert work.started == 0
    assert len(flights) == 0


async def test_newcomers_wait_for_the_dying_and_start_once() -> None:
    """Who comes during the winding down gets new work, after the old has ended."""
    flights, work = SingleFlight[str](), Work()
    work.unwound.clear()
    (leaver,) = start(flights, work)
    await settle()
    leaver.cancel()
    await settle()
    newcomers = start(flights, work, 3)
    await settle()
    newcomers[0].cancel()
    await settle()
    assert newcomers[0].cancelled()
    assert work.started == 1
    work.unwound.set()
    work.go.set()
    assert await asyncio.gather(*newcomers[1:]) == ["result 2", "result 2"]
    assert leaver.cancelled()


async def test_failure_reaches_everybody_and_is_not_kept() -> None:
    """Each waiter sees the error with the work's frames and only its own."""
    flights = SingleFlight[str]()

    async def fail() -> str:
        await asyncio.sleep(0)
        raise ValueError("broken")

    lengths = []
    for task in start(flights, fail, 5):
        with pytest.raises(ValueError, match="broken") as caught:
            await task
        frames = [
            frame.name for frame in traceback.extract_tb(caught.value.__traceback__)
        ]
        assert frames[-1] == "fail"
        lengths.append(len(frames))
    assert len(set(lengths)) == 1
    assert "key" not in flights
    work = Work()
    work.go.set()
    assert await flights.do("key", work) == "result 1"


async def test_failure_that_nobody_hears_is_quiet() -> None:
    """Waiters cancelled in the step in which the work fails leave no complaint."""
    flights, go = SingleFlight[str](), asyncio.Event()

    async def fail() -> str:
        await go.wait()
        raise ValueError("broken")

    callers = start(flights, fail, 3)
    await settle()
    go.set()
    await asyncio.sleep(0)
    for task in callers:
        task.cancel()
    await asyncio.wait(callers)
    del callers, task
    assert await complaints() == []


async def test_failure_while_winding_down_is_quiet() -> None:
    """Work that fails in its own clean-up leaves the caller's cancellation alone."""
    flights = SingleFlight[str]()

    async def fail() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("clean-up")

    (caller,) = start(flights, fail)
    await settle()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await complaints() == []


async def test_work_sees_the_first_callers_context() -> None:
    """Context variables are those of whoever started the work."""
    flights, go = SingleFlight[str](), asyncio.Event()

    async def read() -> str:
        await go.wait()
        return CALLER.get()

    async def call(name: str) -> str:
        CALLER.set(name)
        return await flights.do("key", read)

    callers = [asyncio.create_task(call(name)) for name in ("first", "second")]
    await settle()
    go.set()
    assert await asyncio.gather(*callers) == ["first", "first"]


async def test_aclose_ends_all_work() -> None:
    """Closing cancels and waits, also for callers who wait to start anew."""
    flights, work = SingleFlight[str](), Work()
    work.unwound.clear()
    (leaver,) = start(flights, work)
    await settle()
    leaver.cancel()
    newcomers = start(flights, work)
    await settle()
    closing = asyncio.create_task(flights.aclose())
    await settle()
    assert not closing.done()
    closing.cancel()
    await settle()
    assert not closing.done()
    work.unwound.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(RuntimeError, match="closed"):
        await newcomers[0]
    assert work.running == 0
    await flights.aclose()


async def test_aclose_cancels_who_waits() -> None:
    """A waiter is told by cancellation that its work will not come."""
    flights, work = SingleFlight[str](), Work()
    (caller,) = start(flights, work)
    await settle()
    await flights.aclose()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_closed_coroutine_lets_go() -> None:
    """A coroutine that is closed instead of awaited cancels the work it waited for."""
    flights, work = SingleFlight[str](), Work()
    coroutine = flights.do("key", work)
    coroutine.send(None)
    await settle()
    assert work.running == 1
    coroutine.close()
    await settle()
    assert work.running == 0
    assert len(flights) == 0


async def test_timeout_of_one_caller_is_a_timeout() -> None:
    """asyncio.timeout around a waiter turns into TimeoutError, as usual."""
    flights, work = SingleFlight[str](), Work()
    (other,) = start(flights, work)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await flights.do("key", work)
    work.go.set()
    assert await other == "result 1"


def _storm(seed: int) -> Iterator[tuple[int, bool]]:
    draw = random.Random(seed)  # noqa: S311 - a test
    while True:
        yield draw.randrange(4), draw.random() < 0.4


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
async def test_storm_of_callers_and_cancellations(seed: int) -> None:
    """Never two runs of a key at once; who is not cancelled gets a result."""
    flights = SingleFlight[int]()
    running: dict[str, int] = {}
    draw = random.Random(seed)  # noqa: S311 - a test

    async def work(key: str) -> int:
        running[key] = running.get(key, 0) + 1
        assert running[key] == 1
        try:
            for _ in range(draw.randrange(6)):
                await asyncio.sleep(0)
            if draw.random() < 0.2:
                raise OSError(key)
            return 1
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                running[key] -= 1

    callers: list[asyncio.Task[int]] = []
    cancelled: set[asyncio.Task[int]] = set()
    for number, leaves in _storm(seed):
        if len(callers) == 40:
            break
        key = f"key {number}"
        callers.append(
            asyncio.create_task(flights.do(key, lambda key=key: work(key)))  # type: ignore[misc]
        )
        if leaves:
            victim = draw.choice(callers)
            victim.cancel()
            cancelled.add(victim)
        for _ in range(draw.randrange(3)):
            await asyncio.sleep(0)
    await asyncio.wait(callers)
    for task in callers:
        if task.cancelled():
            assert task in cancelled
        elif (error := task.exception()) is not None:
            assert isinstance(error, OSError)
        else:
            assert task.result() == 1
    await settle()
    assert len(flights) == 0
    assert not any(running.values())
