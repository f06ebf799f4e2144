"""Programs in sessions of their own: however we end, nothing they started stays."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Coroutine
    from typing import Any

__all__ = ["end", "started"]


async def started(starting: Coroutine[Any, Any, Process]) -> Process:
    """Wait until a program has started in a session of its own.

    asyncio itself, when it is cancelled meanwhile, kills the program alone and then
    waits until whatever that has started closes its pipes.

    Args:
        starting: ``create_subprocess_exec(..., start_new_session=True)``.

    Raises:
        OSError: It cannot be started.

    Cancelling kills it with all that it started.
    """
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_drop)
        # The kernel needs a moment for it, and no more.
        await asyncio.wait([task])
        raise


async def end(process: Process) -> None:
    """Kill a program with all that it started, and wait until it is gone.

    One that has ended is left alone: its number may be another's by now.
    """
    if process.returncode is None:
        _kill(process)
        await asyncio.shield(process.wait())


def _drop(task: asyncio.Task[Process]) -> None:
    if not task.cancelled() and task.exception() is None:
        process = task.result()
        if process.returncode is None:
            _kill(process)
        # Nothing else closes the pipes of a program that nobody talks to.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
