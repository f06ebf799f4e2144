"""A version of a program, as those who forward to it see it."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Iterator

__all__ = ["Upstream", "Use"]

_QUIET: Final = 1.0
_LOOK: Final = 0.05


@dataclass(slots=True)
class Use:
    """A connection that talks to a version; ``quiet_since`` when it is a tunnel."""

    task: Task[None]
    quiet_since: float | None = None


@dataclass(slots=True, eq=False)
class Upstream:
    """A version of the program, as the forwarder sees it.

    Attributes:
        address: Host and port where it listens.
        gone: Why it cannot be reached any more; empty while it should be.
    """

    address: tuple[str, int]
    gone: str = ""
    _uses: list[Use] = field(default_factory=list)
    _hurried: bool = False

    async def drain(self, seconds: float) -> None:
        """Wait until nothing talks to it; what still does after that is ended.

        A tunnel counts as done when nothing has moved through it for a second.
        """
        deadline = time.monotonic() + seconds
        while self._uses:
            now = time.monotonic()
            late = now > deadline or self._hurried
            for use in self._uses:
                since = use.quiet_since
                if late or (since is not None and now - since > _QUIET):
                    use.task.cancel()
            await asyncio.sleep(_LOOK)

    def hurry(self) -> None:
        """Let `drain` end at once what still talks to it."""
        self._hurried = True

    @contextmanager
    def used(self) -> Iterator[Use]:
        """Note that the running task talks to it."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError
        use = Use(task)
        self._uses.append(use)
        try:
            yield use
        finally:
            self._uses.remove(use)
