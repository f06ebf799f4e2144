"""Makes a call again when its failure is one that passes, within a deadline."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, TypeVar

from aweigh.events import Retried

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.events import Listener

__all__ = ["RetryBudget", "retry"]

T = TypeVar("T")

BASE_DELAY = 0.2
MAX_DELAY = 5.0


class RetryBudget:
    """How many retries a session may still make, so that an outage is not made worse.

    A token bucket without a clock, as in the "standard" retry mode of the AWS SDKs
    (botocore/retries/standard.py, ``RetryQuota``) and in gRPC's retry throttling
    (proposal A6): each retry takes tokens, success gives them back. While most calls
    succeed nobody notices it; when everything fails, retries stop after
    ``capacity / cost`` of them and each call fails at its first error.

    Belongs to one event loop: it is not safe to share between threads.
    """

    def __init__(
        self, *, capacity: int = 100, cost: int = 5, refund_per_success: int = 1
    ) -> None:
        """Begin full.

        Args:
            capacity: Tokens in a full bucket.
            cost: Tokens that one retry takes; given back when that retry succeeds.
            refund_per_success: Tokens that a call without any retry gives back.
        """
        self._capacity = capacity
        self._cost = cost
        self._refund = refund_per_success
        self._tokens = capacity

    @property
    def tokens(self) -> int:
        """Tokens in the bucket now."""
        return self._tokens

    def take(self) -> bool:
        """Pay for one retry; False, and nothing taken, when the tokens are gone."""
        if self._tokens < self._cost:
            return False
        self._tokens -= self._cost
        return True

    def succeeded(self, *, retried: bool) -> None:
        """Give back what a successful call is worth.

        Args:
            retried: Whether it needed a retry: then the last retry's price comes back.
        """
        worth = self._cost if retried else self._refund
        self._tokens = min(self._capacity, self._tokens + worth)


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    what: str,
    deadline: float,
    listener: Listener,
    retryable: Callable[[BaseException], float | None],
    attempts: int = 3,
    budget: RetryBudget | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = random.random,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return the first successful result of ``call``.

    Waits between attempts by exponential backoff with full jitter (AWS Architecture
    Blog, "Exponential Backoff And Jitter"): a random part of 0.2 s, 0.4 s, 0.8 s ...
    up to 5 s. A delay that the other side demanded (Retry-After) is added in full: the
    call is never made earlier, and callers that were told the same do not come at once.

    An attempt is not cut short by the deadline; bound it inside ``call``.

    Args:
        call: Starts one attempt.
        what: The request, for events: ``HEAD registry.example/v2/train``.
        deadline: The moment on ``clock`` after which no attempt is started.
        listener: Hears `aweigh.events.Retried` before each wait.
        retryable: Returns the least seconds to wait (0.0 where none were asked for)
            when the error is one that passes, or None when a retry would not help.
        attempts: How often to call at most.
        budget: Retries that all calls of a session share; None for no common limit.
        sleep: Waits.
        random: Draws from [0, 1).
        clock: Tells the time in seconds; never goes back.

    Raises:
        Exception: The last attempt's own error, with the earlier ones as notes.
            Cancellation and KeyboardInterrupt are passed on at once and never retried.

    Cancelling stops the current attempt or wait and leaves nothing behind.
    """
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, not {attempts}")
    earlier: list[str] = []
    while True:
        try:
            result = await call()
        except Exception as error:
            delay = _delay(retryable(error), len(earlier), random)
            stop = (
                delay is None
                or len(earlier) + 1 >= attempts
                or clock() + delay > deadline
                or (budget is not None and not budget.take())
            )
            if stop or delay is None:
                _note(error, earlier)
                raise
            earlier.append(_one_line(error))
        else:
            if budget is not None:
                budget.succeeded(retried=bool(earlier))
            return result
        listener(
            Retried(what=what, reason=earlier[-1], attempt=len(earlier), delay=delay)
        )
        await sleep(delay)


def _delay(
    least: float | None, failures: int, random: Callable[[], float]
) -> float | None:
    if least is None:
        return None
    backoff: float = min(MAX_DELAY, BASE_DELAY * 2.0 ** min(failures, 16))
    return max(0.0, least) + backoff * random()


def _one_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _note(error: Exception, earlier: list[str]) -> None:
    for attempt, reason in enumerate(earlier, start=1):
        error.add_note(f"attempt {attempt} failed with: {reason}")
