"""A container that a dev loop holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.docker.faults import target_faults
from aweigh.concurrency.settled import settled

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from aweigh.backends.engine.target.docker.program import Program

__all__ = ["DockerInstance"]


class DockerInstance:
    """A started container of this process; made by `DockerTarget.start`.

    Args:
        name: Its name at the target.
        address: Where its program listens, as seen from here.
        program: What runs in it.
        stack: Closing it removes the container.
    """

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        program: Program,
        stack: AsyncExitStack,
    ) -> None:
        self._name = name
        self._address = address
        self._program = program
        self._stack = stack
        self._stopping: asyncio.Lock = asyncio.Lock()

    @property
    def name(self) -> str:
        """Its name at the target."""
        return self._name

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where its program can be reached from this process."""
        return self._address

    async def wait(self) -> int:
        """Wait until its program ends, and return the exit code.

        Raises:
            TargetError: Nobody knows how it ended.
            EngineUnavailableError: The engine does not answer.
        """
        with target_faults(f"nobody knows how {self._name} ended"):
            return await self._program.wait()

    async def stop(self, *, grace: float = 10.0) -> None:
        """Ask the program to end, kill it after ``grace`` seconds, remove all of it.

        Stopping twice is no error. It is finished even when it is cancelled.

        Raises:
            TargetError: The engine refused.
            EngineUnavailableError: The engine does not answer.
        """
        await settled(self._stop(grace))

    async def _stop(self, grace: float) -> None:
        with target_faults(f"{self._name} cannot be stopped"):
            async with self._stopping, self._stack.pop_all():
                if not self._program.is_over:
                    await self._program.stop(grace)
