"""One change of a service at a time, whichever processes and machines ask for it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from aweigh.backends.engine.containers import held_container, remove_container
from aweigh.backends.engine.holder import HOLDER_LABEL, holder_is_dead
from aweigh.backends.engine.target.docker.faults import TARGET
from aweigh.backends.engine.target.labels import LOCK_KIND, container_name
from aweigh.errors import EngineError, TargetError
from aweigh.events import Waited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels
    from aweigh.events import Listener

__all__ = ["turn"]

_CONFLICT = 409
_POLL_SECONDS = 0.1
_TELL_SECONDS = 5.0


@asynccontextmanager
async def turn(
    engine: Engine,
    labels: Labels,
    name: str,
    image: str,
    *,
    listener: Listener,
    patience: float,
) -> AsyncIterator[None]:
    """Be the only one that changes something of a namespace inside the block.

    The engine gives a container's name to one who asks; a container that never runs
    is what all who use the engine can see. The turn of a process of this machine that
    died is taken over at once.

    Raises:
        TargetError: Somebody else took longer than ``patience`` seconds.
        EngineError: The engine is missing, or refuses.
    """
    container = container_name(labels.namespace, name, "deploying")
    document: dict[str, object] = {
        "Image": image,
        "Entrypoint": ["true"],
        "Labels": labels.of(LOCK_KIND, name),
        "HostConfig": {"NetworkMode": "none"},
    }
    clock = asyncio.get_running_loop().time
    started = told = clock()
    async with AsyncExitStack() as stack:
        while not await _take(stack, engine, container, document):
            holder = await _holder(engine, container)
            waited = clock() - started
            if waited > patience:
                raise _too_long(name, holder, waited)
            if holder and clock() - told >= _TELL_SECONDS:
                told = clock()
                listener(
                    Waited(purpose=f"changing {name}", holder=holder, seconds=waited)
                )
            await asyncio.sleep(_POLL_SECONDS)
        yield


async def _take(
    stack: AsyncExitStack, engine: Engine, container: str, document: dict[str, object]
) -> bool:
    try:
        await stack.enter_async_context(held_container(engine, container, document))
    except EngineError as exc:
        if exc.status == _CONFLICT:
            return False
        raise
    return True


async def _holder(engine: Engine, container: str) -> str:
    """Return who has the turn; of somebody dead it is taken away."""
    found = await engine.fetch(f"containers/{container}/json")
    if found is None:
        return ""
    labels = (found.get("Config") or {}).get("Labels") or {}
    holder = str(labels.get(HOLDER_LABEL, ""))
    if holder_is_dead(holder):
        # By id: the name may be another's by now.
        await remove_container(engine, str(found["Id"]))
        return ""
    return holder


def _too_long(name: str, holder: str, waited: float) -> TargetError:
    return TargetError(
        f"{name} is being changed by {holder or 'somebody else'}, for more than "
        f"{waited:.0f} s",
        hint=f"wait for it, or stop it; if its process is gone: aweigh stop {name}",
        target=TARGET,
    )
