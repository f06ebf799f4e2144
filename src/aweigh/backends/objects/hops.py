"""Brings many small pieces of blocking work to few threads.

A change of threads takes 50 us, as long as making a file; who asks for hundreds of
files at the same time should not pay for hundreds of changes.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Hops"]

T = TypeVar("T")

# What one thread does one after the other. More would save little, and keep work
# waiting that others could do where each piece is slow, as on a file server.
_TOGETHER: Final = 8


@dataclass(slots=True, eq=False)
class _Work(Generic[T]):
    """A piece of work, and where its result is waited for."""

    work: Callable[[], T]
    done: asyncio.Future[T]
    result: T | None = None
    failure: BaseException | None = None

    def run(self) -> None:
        """Work, unless nobody waits any more."""
        if self.done.cancelled():
            return
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.failure = error

    def tell(self) -> None:
        """Hand over the result, in the loop's thread."""
        if self.done.done():
            return
        if self.failure is not None:
            self.done.set_exception(self.failure)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type]  # it ran


class Hops:
    """Takes what is asked for in one turn of the loop to threads, eight at a time."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._waiting: list[_Work[Any]] = []

    async def run(self, work: Callable[[], T]) -> T:
        """Do some blocking work in a thread.

        Raises:
            Whatever the work raises.

        Cancelling stops the waiting; work that has begun goes on, and is for whoever
        gave it to stop.
        """
        loop = asyncio.get_running_loop()
        piece: _Work[T] = _Work(work, loop.create_future())
        self._waiting.append(piece)
        if len(self._waiting) == 1:
            loop.call_soon(self._start, loop)
        return await piece.done

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _TOGETHER):
            some = waiting[start : start + _TOGETHER]
            try:
                begun = loop.run_in_executor(None, _run, some)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                # The loop is being closed, or no thread can be had.
                for piece in some:
                    piece.failure = error
                    piece.tell()
            else:
                begun.add_done_callback(functools.partial(_tell, some))


def _run(some: list[_Work[Any]]) -> None:
    for piece in some:
        piece.run()


def _tell(some: list[_Work[Any]], begun: asyncio.Future[None]) -> None:
    for piece in some:
        if begun.cancelled():
            piece.done.cancel()
        else:
            piece.tell()
