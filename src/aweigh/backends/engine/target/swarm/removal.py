"""Removing services from the swarm, and waiting until their programs have ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.swarm.api import (
    inspect_task,
    ready_nodes,
    tasks_of,
)
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine

__all__ = ["remove_service"]

_NOT_FOUND = 404
_POLL_SECONDS = 0.1
# The grace of a container that does not end when asked, and some more.
_STOP_SECONDS = 20.0


async def remove_service(engine: Engine, service: str) -> None:
    """Remove a service; return when the nodes that answer have ended its tasks.

    Raises:
        EngineError: It cannot be removed; that it is gone already is no error.
    """
    ready = await ready_nodes(engine)
    tasks = [
        task.id
        for task in await tasks_of(engine, service)
        if not task.node or task.node in ready
    ]
    try:
        await engine.send("DELETE", f"services/{service}")
    except EngineError as exc:
        if exc.status != _NOT_FOUND:
            raise
    deadline = asyncio.get_running_loop().time() + _STOP_SECONDS
    for task in tasks:
        while await inspect_task(engine, task) is not None:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_POLL_SECONDS)
