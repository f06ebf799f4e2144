"""Interpreters that compile modules side by side, and end when nobody needs them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.concurrency.programs import end, started
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CLEAN", "Compiled", "Job", "Workers"]

# Nothing of ours may show in what they write.
CLEAN: Final = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}
_PROGRAM: Final = Path(__file__).with_name("worker.py")
_MOST: Final = 4
# Bytes of source that are worth a line through a pipe.
_BATCH_BYTES: Final = 128 << 10
_BATCH_FILES: Final = 32
_LINE_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """A module to compile.

    Attributes:
        source: The file.
        target: Where its bytecode goes; the directory exists.
        shown: What tracebacks call the file.
        size: Bytes of the file.
    """

    source: Path
    target: Path
    shown: str
    size: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """Bytecode that was written.

    Attributes:
        size: Its bytes.
        digest: Its content.
        source: The content it was made from.
    """

    size: int
    digest: Digest
    source: Digest


class Workers:
    """Interpreters of one kind; started when there is work, gone when there is none.

    Args:
        program: The interpreter.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._most = max(1, min(_MOST, os.cpu_count() or 1))
        self._slots = asyncio.Semaphore(self._most)
        self._idle: deque[asyncio.subprocess.Process] = deque()
        self._users = 0

    async def compile(self, jobs: Sequence[Job]) -> list[Compiled | None]:
        """Compile modules, the largest first; answer in the order of the jobs.

        What does not compile is None: it may be a template, or for another Python.
        Cancelling kills the interpreters that are at it.

        Raises:
            OSError: The interpreter cannot be started.
        """
        order = sorted(range(len(jobs)), key=lambda at: -jobs[at].size)
        found: list[Compiled | None] = [None] * len(jobs)

        async def compile_batch(batch: list[int]) -> None:
            answers = await self._batch([jobs[at] for at in batch])
            for at, answer in zip(batch, answers, strict=True):
                found[at] = answer

        self._users += 1
        try:
            async with asyncio.TaskGroup() as group:
                for batch in _batches(order, jobs):
                    group.create_task(compile_batch(batch))
        finally:
            self._users -= 1
            if not self._users:
                await self._close()
        return found

    async def _batch(self, jobs: list[Job]) -> list[Compiled | None]:
        async with self._slots:
            answers = await self._ask(jobs)
        if answers is not None:
            return answers
        if len(jobs) == 1:
            # The interpreter itself broke down over it.
            return [None]
        return [one for job in jobs for one in await self._batch([job])]

    async def _ask(self, jobs: list[Job]) -> list[Compiled | None] | None:
        """Let an interpreter compile; None when it ended instead."""
        process = self._idle.pop() if self._idle else await self._start()
        line = json.dumps(
            [[str(one.source), str(one.target), one.shown] for one in jobs]
        )
        answer = b""
        assert process.stdin is not None  # noqa: S101 - asked for
        assert process.stdout is not None  # noqa: S101
        try:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(line.encode() + b"\n")
                await process.stdin.drain()
                answer = await process.stdout.readline()
        finally:
            if answer.endswith(b"\n"):
                self._idle.append(process)
            else:
                await end(process)
        if not answer.endswith(b"\n"):
            return None
        return [_read(one) for one in json.loads(answer)]

    async def _start(self) -> asyncio.subprocess.Process:
        return await started(
            asyncio.create_subprocess_exec(
                *(self._program, "-s", "-S", "-B", "-W", "ignore", str(_PROGRAM)),
                env=CLEAN,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=_LINE_LIMIT,
                start_new_session=True,
            )
        )

    async def _close(self) -> None:
        while self._idle:
            await end(self._idle.pop())


def _batches(order: list[int], jobs: Sequence[Job]) -> Iterator[list[int]]:
    batch: list[int] = []
    held = 0
    for at in order:
        batch.append(at)
        held += jobs[at].size
        if held >= _BATCH_BYTES or len(batch) == _BATCH_FILES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _read(answer: object) -> Compiled | None:
    match answer:
        case [int(size), str(digest), str(source)]:
            return Compiled(size, Digest(digest), Digest(source))
        case _:
            return None
