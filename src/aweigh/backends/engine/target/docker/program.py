"""One program in a container that this process holds, from its start to its end."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aweigh.backends.engine.containers import attached, exit_code, follow
from aweigh.events import Warned
from aweigh.flow.target import LogLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.frames import WrittenLine
    from aweigh.events import Listener
    from aweigh.flow.target import OnLog

__all__ = ["Program", "started", "stop_container"]

_KILLED = 137
# The kernel's word of it can reach the engine after the end of the container has.
_LATE_LOOKS = 10
_LATE_SECONDS = 0.05
# After its end, what is still on the way from the engine.
_LAST_WORDS_SECONDS = 5.0


class Program:
    """A started program; made by `started`."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        listener: Listener,
        pieces: AsyncIterator[bytes],
        on_log: OnLog,
    ) -> None:
        self.name = name
        self._engine = engine
        self._listener = listener
        self._end = asyncio.create_task(self._reach_end(pieces, on_log))

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and its last line was handed on."""
        return self._end.done()

    async def wait(self) -> int:
        """Return its exit code, after its last line was handed on.

        Cancelling changes nothing: it goes on.

        Raises:
            EngineUnavailableError: The engine died or hangs.
            EngineError: Somebody else removed the container.
        """
        while not self._end.done():
            await asyncio.wait({self._end}, timeout=self._engine.deadlines.answer)
            if not self._end.done():
                # An engine that hangs would be silent for ever, as programs can be.
                await self._engine.send("GET", "version")
        return self._end.result()

    async def stop(self, grace: float) -> None:
        """Ask it to end, kill it after ``grace`` seconds; hand on its last lines."""
        await stop_container(self._engine, self.name, grace)
        await asyncio.wait({self._end}, timeout=_LAST_WORDS_SECONDS)

    async def let_go(self) -> None:
        """Listen no longer."""
        self._end.cancel()
        await asyncio.wait({self._end})
        if not self._end.cancelled():
            # Who waited has seen its fault; the loop shall not call it lost.
            self._end.exception()

    async def _reach_end(self, pieces: AsyncIterator[bytes], on_log: OnLog) -> int:
        def on_line(line: WrittenLine) -> None:
            now = dt.datetime.now(dt.UTC)
            on_log(LogLine(text=line.text, stream=line.stream, at=now))

        await follow(pieces, on_line)
        code = await exit_code(self._engine, self.name)
        if code and await self._ran_out_of_memory(code):
            self._listener(
                Warned(
                    message=f"{self.name} ran out of memory: the kernel killed a "
                    "process in it",
                    hint="give it more memory (resources), or let it use less",
                )
            )
        return code

    async def _ran_out_of_memory(self, code: int) -> bool:
        for _ in range(_LATE_LOOKS):
            found = await self._engine.fetch(f"containers/{self.name}/json") or {}
            if (found.get("State") or {}).get("OOMKilled"):
                return True
            if code != _KILLED or not (found.get("HostConfig") or {}).get("Memory"):
                return False
            await asyncio.sleep(_LATE_SECONDS)
        return False


@asynccontextmanager
async def started(
    engine: Engine, name: str, on_log: OnLog, listener: Listener
) -> AsyncIterator[Program]:
    """Listen to a container and start it; at the end of the block listen no longer.

    Raises:
        EngineError: It cannot be started.
    """
    async with attached(engine, name) as pieces:
        await engine.send("POST", f"containers/{name}/start")
        program = Program(engine, name, listener, pieces, on_log)
        try:
            yield program
        finally:
            await program.let_go()


async def stop_container(engine: Engine, name: str, grace: float) -> None:
    """Send a container its stop signal, and kill it after ``grace`` seconds."""
    await engine.send(
        "POST",
        f"containers/{name}/stop",
        # The engine counts whole seconds.
        params={"t": str(max(0, round(grace)))},
        patience=grace,
    )
