"""A target of one's own: runs each task as a process of this machine, no container."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from aweigh import Settings, fetch_bundle
from aweigh.errors import TargetError
from aweigh.flow.target import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from aweigh.flow.target import Task

GRACE = 5.0


class LocalTarget:
    """Runs the bundle's code with whatever this machine has installed.

    The image is made all the same, and it is what other targets run: the same call is
    tried here and shipped there. What a process cannot have is refused, not ignored.
    """

    name = "local"
    pulls = False

    def __init__(self, settings: Settings) -> None:
        """Fetch bundles with these settings."""
        self._settings = settings

    async def run(self, task: Task, on_log: Callable[[LogLine], None], /) -> int:
        """Run a task to its end and return its exit code."""
        if task.secrets or task.mounts or task.resources.memory or task.resources.gpus:
            raise TargetError(
                f"{task.name} wants a container: secrets, mounts or limits",
                hint="run it on docker, or without them",
                target=self.name,
            )
        with tempfile.TemporaryDirectory() as folder:
            code = await fetch_bundle(
                task.labels["aweigh.bundle"], f"{folder}/code", settings=self._settings
            )
            try:
                process = await asyncio.create_subprocess_exec(
                    *task.command,
                    cwd=code,
                    env={**os.environ, "PYTHONPATH": str(code), **task.env},
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                raise TargetError(
                    f"{task.command[0]} does not start: {error.strerror}",
                    hint="install it on this machine",
                    target=self.name,
                ) from error
            return await self._finish(process, on_log)

    async def _finish(
        self, process: asyncio.subprocess.Process, on_log: Callable[[LogLine], None]
    ) -> int:
        """Tell what it writes until it ends; however we leave, it has ended."""
        try:
            await asyncio.gather(
                _tell(process.stdout, "stdout", on_log),
                _tell(process.stderr, "stderr", on_log),
            )
            code = await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return code if code >= 0 else 128 - code


async def _tell(
    pipe: asyncio.StreamReader | None,
    stream: Literal["stdout", "stderr"],
    on_log: Callable[[LogLine], None],
) -> None:
    if pipe is None:
        return
    async for line in pipe:
        on_log(LogLine(text=line.decode(errors="replace").rstrip("\n"), stream=stream))
