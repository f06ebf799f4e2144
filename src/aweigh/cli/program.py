"""What a program writes, on our own stdout and stderr, as it comes."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import BinaryIO

    from aweigh.flow.target import LogLine

__all__ = ["BROKEN_PIPE", "Output"]

T = TypeVar("T")

BROKEN_PIPE = 141  # what a shell says of a program that SIGPIPE ended


class Output:
    """Writes lines where the program wrote them.

    Nobody reading any more ends the program, as it would at a shell: the running task
    is cancelled, and `is_broken` says why.
    """

    def __init__(self, *, only_stderr: bool, begin: Callable[[], None]) -> None:
        """Write nothing yet.

        Args:
            only_stderr: Whether stdout is ours, for one JSON object.
            begin: Called before each line: progress is to be out of the way.
        """
        self.is_broken = False
        self._stderr = sys.stderr.buffer
        self._stdout = self._stderr if only_stderr else sys.stdout.buffer
        self._begin = begin
        self._owner = asyncio.current_task()
        self._unflushed: set[BinaryIO] = set()

    def __call__(self, line: LogLine) -> None:
        """Write a line; it is out when the loop comes round."""
        if self.is_broken:
            return
        self._begin()
        stream = self._stdout if line.stream == "stdout" else self._stderr
        source = f"{line.source} | " if line.source else ""
        text = f"{source}{line.text}\n"
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unflushed.add(stream)
        try:
            stream.write(text.encode("utf-8", "surrogateescape"))
        except BrokenPipeError:
            self._break()

    async def until_end(self, work: Awaitable[T]) -> T | None:
        """Await what writes here; None if it ended because nobody reads any more."""
        try:
            return await work
        except asyncio.CancelledError:
            if self.is_broken:
                return None
            raise
        finally:
            self.flush()

    def flush(self) -> None:
        """Let nothing wait in our buffers."""
        try:
            while self._unflushed:
                self._unflushed.pop().flush()
        except BrokenPipeError:
            self._break()

    def _break(self) -> None:
        self.is_broken = True
        # What is left in the buffer would be tried again, and fail, at exit.
        sys.stdout = None
        if self._owner is not None:
            self._owner.cancel()
