"""What the tasks of a service wrote, on whichever nodes they ran."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aweigh.backends.engine.frames import FrameSplitter
from aweigh.backends.engine.target.position import LINE_LIMIT, Position, is_new
from aweigh.backends.engine.target.stamp import parse_stamp
from aweigh.backends.engine.target.swarm.api import (
    inspect_service,
    node_names,
    tasks_of,
)
from aweigh.errors import EngineError
from aweigh.events import Warned
from aweigh.flow.target import LogLine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.frames import Stream
    from aweigh.events import Listener

__all__ = ["SwarmLog", "last_lines", "service_logs"]

_ALL = {"stdout": "1", "stderr": "1", "timestamps": "1", "details": "1"}
_TASK_KEY = "com.docker.swarm.task.id="
_STILL_THERE_SECONDS = 1.0
_QUEUED_LINES = 1000
_NOT_FOUND = 404


@dataclass(slots=True)
class _TaskPosition(Position):
    """How far one stream of one task has been read.

    Attributes:
        rest: What came after the last line break.
    """

    rest: bytes = b""


class SwarmLog:
    """Reads the log of a service or a task, again and again from where it was left.

    A followed log is brought by each task's node to the manager, and says nothing of
    its end; what it did not bring is read again, whole, and the known part skipped.

    Args:
        engine: A manager.
        path: ``services/ID`` or ``tasks/ID``.
        listener: Hears of parts that nobody can give.
        labels: What to call the tasks; one that is missing has no label.
    """

    def __init__(
        self,
        engine: Engine,
        path: str,
        listener: Listener,
        labels: dict[str, str] | None = None,
    ) -> None:
        self._engine = engine
        self._path = path
        self._listener = listener
        self._labels = {} if labels is None else labels
        self._positions: dict[tuple[str, Stream], _TaskPosition] = {}

    async def read(
        self, *, follow: bool, path: str | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Iterate over the lines that were not read before.

        Raises:
            EngineError: The engine is missing, or the service or task is.
        """
        repeated = {key: replace(value) for key, value in self._positions.items()}
        params = _ALL | ({"follow": "1"} if follow else {})
        splitter = FrameSplitter()
        async with self._engine.listen(
            "GET", f"{path or self._path}/logs", params=params
        ) as pieces:
            async for piece in pieces:
                for stream, frame in splitter.feed(piece):
                    stamp, task, content = _parse(frame)
                    if is_new(repeated.get((task, stream)), stamp):
                        for line in self._take(task, stream, stamp, content):
                            yield line
                self._complain(splitter)

    def finish(self) -> list[LogLine]:
        """Return what was written after the last line breaks."""
        lines = [
            self._line(task, stream, position.stamp, position.rest)
            for (task, stream), position in self._positions.items()
            if position.rest
        ]
        for position in self._positions.values():
            position.rest = b""
        return lines

    def _take(
        self, task: str, stream: Stream, stamp: str, content: bytes
    ) -> list[LogLine]:
        position = self._positions.setdefault((task, stream), _TaskPosition())
        position.pass_frame(stamp)
        *whole, position.rest = (position.rest + content).split(b"\n")
        if len(position.rest) > LINE_LIMIT:
            whole.append(position.rest)
            position.rest = b""
        return [self._line(task, stream, stamp, line) for line in whole]

    def _line(self, task: str, stream: Stream, stamp: str, line: bytes) -> LogLine:
        return LogLine(
            text=line.decode(errors="replace"),
            stream=stream,
            at=parse_stamp(stamp),
            source=self._labels.get(task, ""),
        )

    def _complain(self, splitter: FrameSplitter) -> None:
        for complaint in splitter.complaints:
            self._listener(
                Warned(
                    message=f"a part of the log is missing: {complaint}",
                    hint="a node that is down cannot give the logs of its tasks "
                    "(docker node ls)",
                )
            )
        splitter.complaints.clear()


async def last_lines(engine: Engine, task: str, count: int) -> tuple[str, ...]:
    """Return the last lines a task wrote; none when nobody can give them."""
    log = SwarmLog(engine, f"tasks/{task}", lambda _event: None)
    lines: list[LogLine] = []
    with suppress(EngineError):
        async with aclosing(log.read(follow=False)) as read:
            lines += [line async for line in read]
    lines += log.finish()
    return tuple(line.text for line in lines[-count:])


async def service_logs(
    engine: Engine, service: str, listener: Listener, *, follow: bool
) -> AsyncGenerator[LogLine, None]:
    """Iterate over what the tasks of a service wrote: until now, or until it is gone.

    Lines are in the order of their time, those of one task in the order they were
    written; followed, they come as the nodes bring them.

    Raises:
        EngineError: The engine is missing, no manager, or the service is gone.
    """
    labels = await _labels(engine, service)
    log = SwarmLog(engine, f"services/{service}", listener, labels)
    if not follow:
        async with aclosing(log.read(follow=False)) as read:
            lines = [line async for line in read]
        lines += log.finish()
        for line in sorted(lines, key=lambda one: one.at.timestamp() if one.at else 0):
            yield line
        return
    queue: asyncio.Queue[LogLine | None] = asyncio.Queue(_QUEUED_LINES)
    pumping = asyncio.create_task(_pump(log, queue))
    watching = asyncio.create_task(_until_gone(engine, service, labels, queue))
    try:
        while (next_line := await queue.get()) is not None:
            yield next_line
        for ended in (pumping, watching):
            if ended.done():
                ended.result()
        for line in log.finish():
            yield line
    finally:
        for task in (pumping, watching):
            task.cancel()
        await asyncio.wait({pumping, watching})


async def _pump(log: SwarmLog, queue: asyncio.Queue[LogLine | None]) -> None:
    """Read for as long as the manager goes on; a log that breaks off is resumed."""
    while True:
        try:
            async with aclosing(log.read(follow=True)) as lines:
                async for line in lines:
                    await queue.put(line)
        except EngineError as exc:
            await queue.put(None)
            if exc.status == _NOT_FOUND:
                return
            raise
        await asyncio.sleep(_STILL_THERE_SECONDS)


async def _until_gone(
    engine: Engine,
    service: str,
    labels: dict[str, str],
    queue: asyncio.Queue[LogLine | None],
) -> None:
    # The manager keeps a followed log open after the service was removed.
    try:
        while await inspect_service(engine, service) is not None:
            labels |= await _labels(engine, service)
            await asyncio.sleep(_STILL_THERE_SECONDS)
    except EngineError:
        await queue.put(None)
        raise
    await queue.put(None)


async def _labels(engine: Engine, service: str) -> dict[str, str]:
    names = await node_names(engine)
    return {
        task.id: f"{task.slot}@{names.get(task.node, task.node)}"
        for task in await tasks_of(engine, service)
    }


def _parse(frame: bytes) -> tuple[str, str, bytes]:
    """Return time, task and content: ``TIME KEY=VALUE,KEY=VALUE CONTENT``."""
    stamp, _, rest = frame.partition(b" ")
    details, _, content = rest.partition(b" ")
    task = ""
    for detail in details.decode(errors="replace").split(","):
        if detail.startswith(_TASK_KEY):
            task = detail.removeprefix(_TASK_KEY)
    return stamp.decode(errors="replace"), task, content
