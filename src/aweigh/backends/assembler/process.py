"""Child processes that end with whoever started them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.concurrency.programs import end, started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Finished", "run_process"]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended.

    Attributes:
        code: Its exit code; negative when a signal ended it.
        output: What it wrote to stdout and stderr.
    """

    code: int
    output: str


async def run_process(argv: Sequence[str], *, environ: Mapping[str, str]) -> Finished:
    """Run a program to its end, in a session of its own.

    Cancelling kills it and all processes it started, and waits until it is gone.

    Raises:
        OSError: It cannot be started.
    """
    process = await started(
        asyncio.create_subprocess_exec(
            *argv,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    )
    try:
        output, _ = await process.communicate()
    finally:
        await end(process)
    return Finished(process.returncode or 0, output.decode("utf-8", "replace"))
