"""What a swarm holds of ours, as users see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aweigh.backends.engine.target.address import url_at
from aweigh.backends.engine.target.swarm.api import (
    find_services,
    node_address,
    tasks_of,
)
from aweigh.backends.engine.target.swarm.faults import TARGET
from aweigh.flow.target import Running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels
    from aweigh.backends.engine.target.swarm.api import Found, SwarmTask
    from aweigh.flow.target import Kind

__all__ = ["running_services", "url_of"]


async def running_services(engine: Engine, labels: Labels) -> tuple[Running, ...]:
    """List the services of a namespace, by name.

    Raises:
        EngineError: The engine is missing, no manager, or not one we can read.
    """
    return tuple(
        [
            await _describe(engine, found)
            for found in await find_services(engine, labels)
        ]
    )


async def url_of(engine: Engine, found: Found) -> str | None:
    """Return where a service's first published port answers; None without one.

    Published by ingress, every node answers; else one that runs a replica.
    """
    if not found.ports:
        return None
    port, mode = found.ports[0]
    node = None
    if mode == "host":
        tasks = await tasks_of(engine, found.id)
        node = next((task.node for task in tasks if task.state == "running"), None)
        if node is None:
            return None
    return url_at(await node_address(engine, node), port)


async def _describe(engine: Engine, found: Found) -> Running:
    tasks = await tasks_of(engine, found.id)
    up = sum(task.state == "running" and task.wanted == "running" for task in tasks)
    return Running(
        name=found.name,
        kind=cast("Kind", found.kind),
        target=TARGET,
        image=found.image,
        state=_state(found, tasks, up),
        replicas=(up, found.replicas),
        url=await url_of(engine, found),
        since=found.created,
    )


def _state(found: Found, tasks: Sequence[SwarmTask], up: int) -> str:
    if found.update in {"updating", "rollback_started"}:
        return "updating"
    if up >= found.replicas:
        return "running"
    wanted = [task for task in tasks if task.wanted in {"running", "ready"}]
    if wanted:
        return wanted[-1].state if wanted[-1].state != "running" else "starting"
    return tasks[-1].state if tasks else "starting"
