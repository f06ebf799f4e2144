"""Retries: which failures, how often, after which waits, and when to stop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.concurrency.retry import RetryBudget, retry
from aweigh.events import Event, Retried, silent


class FakeTime:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def clock(self) -> float:
        """Tell the time."""
        return self.now


def failing(
    *errors: BaseException, result: str = "done"
) -> Callable[[], Awaitable[str]]:
    """Return a call that fails with each of these errors in turn, then succeeds."""
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return result

    return call


def always(_error: BaseException) -> float | None:
    """Retry everything, whenever we like."""
    return 0.0


async def run(
    call: Callable[[], Awaitable[str]],
    *,
    time: FakeTime | None = None,
    attempts: int = 3,
    seconds: float = 1000.0,
    retryable: Callable[[BaseException], float | None] = always,
    draw: float = 1.0,
    budget: RetryBudget | None = None,
    events: list[Event] | None = None,
) -> str:
    """Retry a call under a fake clock."""
    time = time or FakeTime()
    return await retry(
        call,
        what="HEAD x",
        attempts=attempts,
        deadline=time.now + seconds,
        listener=silent if events is None else events.append,
        retryable=retryable,
        budget=budget,
        sleep=time.sleep,
        random=lambda: draw,
        clock=time.clock,
    )


async def test_success_at_once_waits_for_nothing() -> None:
    """A call that works is made once and nobody hears of it."""
    time, events = FakeTime(), list[Event]()
    assert await run(failing(), time=time, events=events) == "done"
    assert time.slept == []
    assert events == []


async def test_backoff_doubles_and_is_told() -> None:
    """The longest waits double from 0.2 s, and each is an event beforehand."""
    time, events = FakeTime(), list[Event]()
    call = failing(OSError("first\nsecond line"), OSError())
    assert await run(call, time=time, events=events) == "done"
    assert time.slept == [0.2, 0.4]
    assert events == [
        Retried(what="HEAD x", reason="first", attempt=1, delay=0.2),
        Retried(what="HEAD x", reason="OSError", attempt=2, delay=0.4),
    ]


@given(draw=st.floats(0, 1, exclude_max=True), least=st.floats(0, 60))
async def test_waits_are_random_between_the_demanded_delay_and_the_backoff(
    draw: float, least: float
) -> None:
    """Full jitter on top of Retry-After: never earlier than asked, never beyond cap."""
    time = FakeTime()
    with pytest.raises(OSError, match="boom"):
        await run(
            failing(*(OSError("boom") for _ in range(9))),
            time=time,
            attempts=9,
            retryable=lambda _error: least,
            draw=draw,
        )
    ceilings = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert time.slept == pytest.approx([least + top * draw for top in ceilings])


async def test_last_error_carries_the_earlier_ones() -> None:
    """After the last attempt its error is raised, with the others as notes."""
    errors = OSError("one"), ValueError("two"), OSError("three")
    with pytest.raises(OSError, match="three") as caught:
        await run(failing(*errors))
    assert caught.value is errors[2]
    assert caught.value.__notes__ == [
        "attempt 1 failed with: one",
        "attempt 2 failed with: two",
    ]


async def test_hopeless_errors_are_raised_at_once() -> None:
    """What the caller calls hopeless is not tried again, nor decorated."""
    time = FakeTime()
    with pytest.raises(KeyError) as caught:
        await run(failing(KeyError("no")), time=time, retryable=lambda _error: None)
    assert time.slept == []
    assert not hasattr(caught.value, "__notes__")


async def test_gives_up_rather_than_pass_the_deadline() -> None:
    """A wait that would end after the deadline is not begun."""
    time = FakeTime()
    with pytest.raises(OSError, match="two"):
        await run(
            failing(OSError("one"), OSError("two")), time=time, attempts=9, seconds=0.5
        )
    assert time.slept == [0.2]


async def test_a_demanded_delay_beyond_the_deadline_ends_it() -> None:
    """Retry-After: 3600 is an error now, not a process that hangs for an hour."""
    time = FakeTime()
    with pytest.raises(OSError, match="busy"):
        await run(
            failing(OSError("busy")), time=time, seconds=30, retryable=lambda _: 3600.0
        )
    assert time.slept == []


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
async def test_interruptions_are_never_retried(error: BaseException) -> None:
    """Cancellation and Ctrl-C pass through, whatever `retryable` would say."""
    time = FakeTime()
    with pytest.raises(type(error)):
        await run(failing(error), time=time)
    assert time.slept == []


async def test_cancelling_stops_the_wait() -> None:
    """A caller who is cancelled between attempts leaves at once."""
    waiting = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(
        retry(
            failing(OSError()),
            what="x",
            deadline=float("inf"),
            listener=silent,
            retryable=always,
            sleep=sleep,
        )
    )
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_attempts_is_a_mistake() -> None:
    """Zero attempts could return nothing, so it is refused."""
    with pytest.raises(ValueError, match="attempts"):
        await run(failing(), attempts=0)


async def test_budget_ends_retries_when_everything_fails() -> None:
    """With the tokens gone, a call fails at its first error; success refills."""
    budget = RetryBudget(capacity=10, cost=5, refund_per_success=5)
    for _ in range(2):
        with pytest.raises(OSError):
            await run(failing(OSError(), OSError()), attempts=2, budget=budget)
    assert budget.tokens == 0
    time = FakeTime()
    with pytest.raises(OSError, match="outage"):
        await run(failing(OSError("outage")), time=time, budget=budget)
    assert time.slept == []
    await run(failing(), budget=budget)
    assert await run(failing(OSError()), budget=budget) == "done"


async def test_budget_pays_back_a_retry_that_worked() -> None:
    """A retry that succeeds costs nothing in the end; the bucket never overflows."""
    budget = RetryBudget(capacity=10, cost=5)
    await run(failing(OSError()), budget=budget)
    assert budget.tokens == 10
    await run(failing(), budget=budget)
    assert budget.tokens == 10
