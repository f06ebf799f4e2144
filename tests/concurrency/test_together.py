"""Things at the same time: overlap, the first failure, cancellation."""

import asyncio

import pytest

from aweigh.concurrency.together import both, every, leaves, side_by_side


class Worker:
    """Waits until it is let go, and knows how it ended."""

    def __init__(self, error: Exception | None = None) -> None:
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.error = error
        self.cancelled = False

    async def work(self, result: str) -> str:
        """Wait, then fail or answer."""
        self.began.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return result


async def test_both_answers_come_in_order() -> None:
    """Each begins before the other has ended."""
    one, other = Worker(), Worker()
    waiting = asyncio.ensure_future(both(one.work("a"), other.work("b")))
    await one.began.wait()
    await other.began.wait()
    other.gate.set()
    one.gate.set()
    assert await waiting == ("a", "b")


async def test_a_failure_ends_the_other_and_is_itself() -> None:
    """No group around it, its cause kept."""
    one, other = Worker(), Worker(ValueError("no"))
    other.gate.set()
    with pytest.raises(ValueError, match="no"):
        await both(one.work("a"), other.work("b"))
    assert one.cancelled


async def test_two_failures_are_a_group() -> None:
    """Neither is lost."""
    one, other = Worker(ValueError("a")), Worker(KeyError("b"))
    one.gate.set()
    other.gate.set()
    with pytest.raises(ExceptionGroup) as caught:
        await both(one.work("a"), other.work("b"))
    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


async def test_cancelling_cancels_all() -> None:
    """Nothing is under way afterwards."""
    workers = [Worker() for _ in range(3)]
    waiting = asyncio.ensure_future(every(worker.work("x") for worker in workers))
    for worker in workers:
        await worker.began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert all(worker.cancelled for worker in workers)


async def test_every_answers_in_order_or_with_the_first_failure() -> None:
    """One of several failures is enough to tell."""
    workers = [Worker(), Worker()]
    for worker in workers:
        worker.gate.set()
    assert await every(worker.work(str(at)) for at, worker in enumerate(workers)) == [
        "0",
        "1",
    ]
    assert await every(iter([])) == []
    waiting, failing = Worker(), Worker(ValueError("no"))
    failing.gate.set()
    with pytest.raises(ValueError, match="no"):
        await every([waiting.work("a"), failing.work("b")])
    assert waiting.cancelled


async def test_a_failure_keeps_its_own_cause() -> None:
    """No group stands between the failure and what led to it."""

    async def fail() -> None:
        raise ValueError("no") from KeyError("led to it")

    with pytest.raises(ValueError, match="no") as caught:
        await every([fail()])
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__context__ is None


async def test_no_more_than_the_limit_are_under_way() -> None:
    """Each thing is worked on once, and a failure ends what is under way."""
    under_way, most, seen = 0, 0, []

    async def work(thing: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        seen.append(thing)
        await asyncio.sleep(0)
        under_way -= 1
        if thing == 99:
            raise ValueError("no")

    await side_by_side(range(10), work, limit=3)
    await side_by_side([], work, limit=3)
    assert (sorted(seen), most) == (list(range(10)), 3)
    with pytest.raises(ValueError, match="no"):
        await side_by_side([99, *range(100)], work, limit=1)
    assert seen[10:] == [99]


def test_the_failures_of_groups_in_groups() -> None:
    """All of them, in order."""
    one, two = ValueError(), KeyError()
    assert leaves(ExceptionGroup("", [ExceptionGroup("", [one]), two])) == [one, two]
