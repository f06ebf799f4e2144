"""One task as a job of the swarm: made, watched to its end, and removed."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.swarm.api import (
    node_names,
    ready_nodes,
    tasks_of,
)
from aweigh.backends.engine.target.swarm.faults import failure, not_startable
from aweigh.backends.engine.target.swarm.logs import SwarmLog
from aweigh.backends.engine.target.swarm.removal import remove_service
from aweigh.concurrency.settled import settled
from aweigh.errors import EngineError
from aweigh.events import Warned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.swarm.api import SwarmTask
    from aweigh.events import Listener
    from aweigh.flow.target import OnLog, Task

__all__ = ["held_job", "watch_job"]

_POLL_SECONDS = 0.05
_SLOW_POLL_SECONDS = 0.5
_SLOW_AFTER_SECONDS = 10.0
# The swarm looks for a node again every few seconds; a short wait is no news.
_PENDING_SECONDS = 3.0
_KILLED = 137
_EXIT = re.compile(r"non-zero exit \((\d+)\)")


@asynccontextmanager
async def held_job(
    engine: Engine, document: Mapping[str, object], headers: Mapping[str, str]
) -> AsyncIterator[str]:
    """Create a job and remove it at the end of the block, whatever happened.

    Leaving stops its program, by the image's signal and 10 s later by force.

    Raises:
        EngineError: It cannot be created.
    """
    creating = asyncio.ensure_future(
        engine.send("POST", "services/create", document=document, headers=headers)
    )
    try:
        made = await asyncio.shield(creating)
        yield str(made["ID"])
    finally:
        await settled(_let_go(engine, creating))


async def watch_job(
    engine: Engine, service: str, task: Task, on_log: OnLog, listener: Listener
) -> int:
    """Wait until the task of a job has ended, hand on its lines; return its exit code.

    Raises:
        ImageGoneError: Its node could not get the image.
        TargetError: It cannot be started, or nobody knows how it ended.
        EngineError: The engine is missing.
    """
    log = SwarmLog(engine, f"services/{service}", listener)
    following = asyncio.create_task(_follow(log, on_log))
    try:
        ended = await _until_ended(engine, service, task, listener)
    finally:
        following.cancel()
        await asyncio.wait({following})
    if ended.node and ended.state != "rejected":
        # What the node had not brought yet is whole in the log by now.
        async with aclosing(log.read(follow=False, path=f"tasks/{ended.id}")) as lines:
            async for line in lines:
                on_log(line)
    for line in log.finish():
        on_log(line)
    return await _exit_code(engine, task, ended, listener)


async def _let_go(engine: Engine, creating: asyncio.Future[dict[str, str]]) -> None:
    # Whatever is wrong here was wrong before, and that error is the one to see.
    with suppress(EngineError):
        made = await creating
        await remove_service(engine, str(made["ID"]))


async def _follow(log: SwarmLog, on_log: OnLog) -> None:
    # Its faults are those of the whole reading that comes after it.
    with suppress(EngineError):
        async with aclosing(log.read(follow=True)) as lines:
            async for line in lines:
                on_log(line)


async def _until_ended(
    engine: Engine, service: str, task: Task, listener: Listener
) -> SwarmTask:
    clock = asyncio.get_running_loop().time
    started = clock()
    told = ""
    while True:
        found = await tasks_of(engine, service)
        for one in found:
            if one.has_ended:
                return one
        current = found[-1] if found else None
        if current is None:
            await _check_there(engine, service, task)
        else:
            await _check_node(engine, current, task)
            waits = current.state == "pending" and clock() - started > _PENDING_SECONDS
            if waits and current.said and current.said != told:
                told = current.said
                listener(_waits(task, told))
        slow = clock() - started > _SLOW_AFTER_SECONDS
        await asyncio.sleep(_SLOW_POLL_SECONDS if slow else _POLL_SECONDS)


async def _check_there(engine: Engine, service: str, task: Task) -> None:
    if await engine.fetch(f"services/{service}") is None:
        raise not_startable(
            f"somebody removed {task.name} before it ended",
            hint="aweigh stop does that, and docker service rm: start it again",
        )


async def _check_node(engine: Engine, current: SwarmTask, task: Task) -> None:
    """Raise when the task's node is lost and the swarm gave the task up."""
    if current.wanted not in {"shutdown", "remove"} or not current.node:
        return
    if current.node in await ready_nodes(engine):
        return
    names = await node_names(engine)
    raise not_startable(
        f"nobody knows how {task.name} ended: node "
        f"{names.get(current.node, current.node)} is down",
        hint="look at that node (docker node ls); start the task again",
    )


def _waits(task: Task, said: str) -> Warned:
    return Warned(
        message=f"{task.name} waits for a node that can take it: {said}",
        hint="ask for less (resources), remove what runs, or add a node",
    )


async def _exit_code(
    engine: Engine, task: Task, ended: SwarmTask, listener: Listener
) -> int:
    if ended.state == "complete":
        return 0
    match = _EXIT.search(ended.said)
    if ended.state == "failed" and match is not None:
        code = int(match[1])
        if code == _KILLED and task.resources.memory is not None:
            listener(
                Warned(
                    message=f"{task.name} was killed, most likely for its memory",
                    hint="give it more memory (resources), or let it use less",
                )
            )
        return code
    names = await node_names(engine)
    if ended.state in {"failed", "rejected"}:
        raise failure(task.name, ended.said, names.get(ended.node, ended.node))
    raise not_startable(
        f"nobody knows how {task.name} ended: the swarm calls it {ended.state} "
        f"({ended.said or 'and says nothing'})",
        hint="somebody removed it or its node (docker node ls): start it again",
    )
