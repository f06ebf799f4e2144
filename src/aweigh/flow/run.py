"""A command, with its image and its code, run to completion on a target."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.errors import ImageGoneError, TargetError
from aweigh.events.flow import TaskFinished, TaskStarted
from aweigh.flow.work import task_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aweigh.flow.load import Loader
    from aweigh.flow.prepare import Ready
    from aweigh.flow.target import LogLine, OnLog, Target, Task
    from aweigh.flow.work import Work
    from aweigh.image.spec import ImageSpec

__all__ = ["RunResult", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a task ended.

    Attributes:
        exit_code: The program's own.
        ready: The image and the bundle it ran with.
        seconds: From the call to the program's end.
    """

    exit_code: int
    ready: Ready
    seconds: float


async def run(
    loader: Loader,
    find: Callable[[], Awaitable[Target]],
    work: Work,
    *,
    spec: ImageSpec,
    directory: str | Path,
    timeout: float | None,  # noqa: ASYNC109 - of the program, not of this call
    on_log: OnLog | None,
) -> RunResult:
    """Run a command in the image of a spec, with the code of a directory.

    An image that the target finds missing is ensured once more, and the task is then
    started again: it had not begun.

    Args:
        loader: Makes the image exist.
        find: Returns the target; it is looked for while the image is made.
        work: What to run.
        spec: The image without the code.
        directory: The code.
        timeout: Seconds that the target may take, pulling included; None for any.
        on_log: Is given every line.

    Raises:
        ImageGoneError: The image vanished twice.
        TargetError: It cannot be started, took too long, or nobody knows how it ended.
        AweighError: What `Session.prepare` raises.

    Cancelling stops the program and leaves nothing of it.
    """
    started = time.perf_counter()
    target, loaded = await loader.begin(spec, directory, find)
    execution = _Execution(target, loader, timeout, on_log or _unheard)
    try:
        task = work.task(task_name(spec.name), loaded)
        exit_code = await execution.of(task)
    except ImageGoneError as error:
        loaded = await loader.heal(loaded, error)
        task = work.task(task_name(spec.name), loaded)
        exit_code = await execution.of(task)
    return RunResult(
        exit_code=exit_code,
        ready=loaded.ready,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True)
class _Execution:
    """Runs a task on a target, and says so."""

    target: Target
    loader: Loader
    timeout: float | None
    on_log: OnLog

    async def of(self, task: Task) -> int:
        listener = self.loader.listener
        listener(TaskStarted(name=task.name, image=task.image, target=self.target.name))
        started = time.perf_counter()
        exit_code = await self._limited(task)
        listener(
            TaskFinished(
                name=task.name,
                target=self.target.name,
                exit_code=exit_code,
                seconds=time.perf_counter() - started,
            )
        )
        return exit_code

    async def _limited(self, task: Task) -> int:
        try:
            async with asyncio.timeout(self.timeout) as limit:
                return await self.target.run(task, self.on_log)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TargetError(
                f"{task.name} was stopped on {self.target.name}: it did not end within"
                f" {self.timeout:g} s",
                hint="give it a longer timeout, or look at the last lines it wrote",
                target=self.target.name,
            ) from error


def _unheard(_line: LogLine) -> None:
    """Hear nothing: what a program writes when nobody asked for it."""
