"""What containers wrote, from the engine's logs: none lost, none twice, in order."""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aweigh.backends.engine.frames import FrameSplitter
from aweigh.backends.engine.target.position import LINE_LIMIT, Position, is_new
from aweigh.backends.engine.target.stamp import parse_stamp
from aweigh.errors import EngineError
from aweigh.flow.target import LogLine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.frames import Stream

__all__ = ["Source", "container_log", "last_lines", "merged_logs"]

# It was removed, or it is being removed.
_GONE = frozenset({404, 409})
_ALIVE = frozenset({"running", "paused", "restarting"})
_QUEUED_LINES = 1000
_RESTART_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """A container whose log is read.

    Attributes:
        id: The engine's name of exactly this container.
        label: What its lines say they come from.
    """

    id: str
    label: str


async def container_log(
    engine: Engine, source: Source, *, follow: bool
) -> AsyncGenerator[LogLine, None]:
    """Iterate over the lines one container wrote, until now or until it is gone.

    The engine ends a followed log when the container ends, often before its last
    lines; so the rest is asked for afterwards, from where the log broke off. A
    container that the engine restarts is followed on.

    Raises:
        EngineError: The engine is missing, or keeps no logs that can be read.
    """
    reader = _LogReader(engine, source)
    try:
        while True:
            async with aclosing(reader.read(follow=follow)) as lines:
                async for line in lines:
                    yield line
            if not follow:
                break
            alive = await _is_alive(engine, source.id)
            if not alive:
                # What was written before it ended is in the log by now.
                follow = False
                continue
            await asyncio.sleep(_RESTART_SECONDS)
    except EngineError as exc:
        if exc.status not in _GONE:
            raise
    for line in reader.finish():
        yield line


async def merged_logs(
    engine: Engine, sources: Sequence[Source], *, follow: bool
) -> AsyncGenerator[LogLine, None]:
    """Iterate over the lines of several containers: by time, or as they come.

    Raises:
        EngineError: The engine is missing, or keeps no logs that can be read.
    """
    logs = [container_log(engine, source, follow=follow) for source in sources]
    if len(logs) == 1:
        merged = logs[0]
    else:
        merged = _as_they_come(logs) if follow else _by_time(logs)
    async with aclosing(merged):
        async for line in merged:
            yield line


async def last_lines(engine: Engine, container: str, count: int) -> tuple[str, ...]:
    """Return the last lines a container wrote; none when the engine keeps no logs."""
    reader = _LogReader(engine, Source(container, ""), tail=count)
    lines: list[LogLine] = []
    with suppress(EngineError):
        async with aclosing(reader.read(follow=False)) as read:
            lines += [line async for line in read]
    lines += reader.finish()
    return tuple(line.text for line in lines[-count:])


class _LogReader:
    """Reads a container's log, again and again from where it was left."""

    def __init__(self, engine: Engine, source: Source, tail: int | None = None) -> None:
        self._engine = engine
        self._source = source
        self._tail = "all" if tail is None else str(tail)
        self._positions: dict[Stream, Position] = {}
        self._rests: dict[Stream, tuple[str, bytes]] = {}

    async def read(self, *, follow: bool) -> AsyncGenerator[LogLine, None]:
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": self._tail}
        if follow:
            params["follow"] = "1"
        if since := self._since():
            params["since"] = since
        # What the engine sends once more is counted anew, and skipped.
        repeated = {
            stream: replace(position) for stream, position in self._positions.items()
        }
        splitter = FrameSplitter()
        path = f"containers/{self._source.id}/logs"
        async with self._engine.listen("GET", path, params=params) as pieces:
            async for piece in pieces:
                for stream, frame in splitter.feed(piece):
                    stamp, _, content = frame.partition(b" ")
                    if is_new(repeated.get(stream), stamp.decode()):
                        for line in self._take(stream, stamp.decode(), content):
                            yield line

    def finish(self) -> list[LogLine]:
        """Return what was written after the last line breaks."""
        rests, self._rests = self._rests, {}
        return [
            self._line(stream, stamp, rest)
            for stream, (stamp, rest) in rests.items()
            if rest
        ]

    def _since(self) -> str:
        """Return the earliest time from which a stream is not yet read whole."""
        stamps = [position.stamp for position in self._positions.values()]
        return _unix(min(stamps)) if stamps else ""

    def _take(self, stream: Stream, stamp: str, content: bytes) -> list[LogLine]:
        position = self._positions.setdefault(stream, Position())
        position.pass_frame(stamp)
        begun, rest = self._rests.pop(stream, (stamp, b""))
        *whole, rest = (rest + content).split(b"\n")
        lines = [self._line(stream, begun, line) for line in whole]
        if len(rest) > LINE_LIMIT:
            lines.append(self._line(stream, begun, rest))
            rest = b""
        if rest:
            self._rests[stream] = (stamp if whole else begun, rest)
        return lines

    def _line(self, stream: Stream, stamp: str, line: bytes) -> LogLine:
        return LogLine(
            text=line.decode(errors="replace"),
            stream=stream,
            at=parse_stamp(stamp),
            source=self._source.label,
        )


def _unix(stamp: str) -> str:
    """Return a stamp as seconds since the epoch, with all its nanoseconds."""
    moment = parse_stamp(stamp)
    if moment is None:
        return ""
    _, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{int(moment.timestamp())}.{fraction or '0'}"


async def _is_alive(engine: Engine, container: str) -> bool:
    found = await engine.fetch(f"containers/{container}/json")
    return found is not None and (found.get("State") or {}).get("Status") in _ALIVE


async def _by_time(
    logs: Sequence[AsyncGenerator[LogLine, None]],
) -> AsyncGenerator[LogLine, None]:
    heap: list[tuple[dt.datetime, int, LogLine]] = []
    earliest = dt.datetime.min.replace(tzinfo=dt.UTC)

    async def push(number: int) -> None:
        with suppress(StopAsyncIteration):
            line = await anext(logs[number])
            heapq.heappush(heap, (line.at or earliest, number, line))

    try:
        for number in range(len(logs)):
            await push(number)
        while heap:
            _, number, line = heapq.heappop(heap)
            yield line
            await push(number)
    finally:
        for log in logs:
            await log.aclose()


async def _as_they_come(
    logs: Sequence[AsyncGenerator[LogLine, None]],
) -> AsyncGenerator[LogLine, None]:
    queue: asyncio.Queue[LogLine | None] = asyncio.Queue(_QUEUED_LINES)

    async def pump(log: AsyncGenerator[LogLine, None]) -> EngineError | None:
        fault = None
        try:
            async with aclosing(log):
                async for line in log:
                    await queue.put(line)
        except EngineError as exc:
            fault = exc
        await queue.put(None)
        return fault

    tasks = [asyncio.create_task(pump(log)) for log in logs]
    try:
        ended = 0
        while ended < len(tasks):
            line = await queue.get()
            if line is None:
                ended += 1
            else:
                yield line
        for fault in [await task for task in tasks]:
            if fault is not None:
                raise fault
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
