"""Containers that this process holds: made, listened to, and removed in any case."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from aweigh.backends.engine.faults import request_faults
from aweigh.backends.engine.frames import LineDemultiplexer
from aweigh.backends.engine.holder import HOLDER_LABEL, this_holder
from aweigh.concurrency.settled import settled
from aweigh.errors import EngineError
from aweigh.events import Warned, silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.frames import WrittenLine
    from aweigh.events import Listener

__all__ = [
    "PROBE_LABEL",
    "attached",
    "exit_code",
    "follow",
    "held_container",
    "remove_container",
    "run_container",
]

PROBE_LABEL = "aweigh.run"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ATTACH = {"stream": "1", "stdout": "1", "stderr": "1"}
_NOT_FOUND = 404
# The engine says so while somebody else removes the same container.
_BEING_REMOVED = 409
_FAILED = 500
_REMOVALS = 3
_BUSY_SECONDS = 0.2


async def run_container(
    engine: Engine,
    image: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str] = _NOTHING,
    workdir: str | None = None,
    network_mode: str = "host",
    binds: Sequence[str] = (),
    on_log: Callable[[str], None] | None = None,
) -> int:
    """Run a command in a new container and return its exit code.

    The command replaces the image's entrypoint and command. The container is removed
    in any case; cancelling kills it first.

    Args:
        engine: Where to run it.
        image: An image the engine has.
        command: Program and arguments; empty for the image's own.
        env: Environment variables besides the image's.
        workdir: Working directory, else the image's.
        network_mode: ``host``, ``none`` or the name of a network.
        binds: Directories to mount, as ``/host/path:/container/path[:ro]``.
        on_log: Is given each line of output and error output.

    Raises:
        EngineError: The engine is missing, lacks the image, or could not start it.
    """
    document = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Labels": {PROBE_LABEL: "1", HOLDER_LABEL: this_holder()},
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {"NetworkMode": network_mode, "Binds": list(binds)},
    }
    if command:
        document |= {"Entrypoint": list(command), "Cmd": []}
    if workdir is not None:
        document["WorkingDir"] = workdir

    def on_line(line: WrittenLine) -> None:
        if on_log is not None:
            on_log(line.text)

    name = f"aweigh-run-{uuid.uuid4().hex[:16]}"
    async with held_container(engine, name, document):
        async with attached(engine, name) as pieces:
            await engine.send("POST", f"containers/{name}/start")
            await follow(pieces, on_line)
        return await exit_code(engine, name)


@asynccontextmanager
async def held_container(
    engine: Engine,
    name: str,
    document: Mapping[str, object],
    *,
    listener: Listener = silent,
) -> AsyncIterator[None]:
    """Create a container and remove it at the end of the block, whatever happened.

    A fault of the removal is not raised over the one that led to it: the listener is
    warned.

    Raises:
        EngineError: It cannot be created.
    """
    # Creating is not interrupted: a container nobody knows of could not be removed.
    creating = asyncio.ensure_future(
        engine.send(
            "POST", "containers/create", params={"name": name}, document=document
        )
    )
    try:
        await asyncio.shield(creating)
        yield
    finally:
        await settled(_let_go(engine, name, creating, listener))


async def remove_container(engine: Engine, name: str) -> None:
    """Kill a container if it runs and remove it, with its unnamed volumes.

    Raises:
        EngineError: It cannot be removed; that it is gone already is no error.
    """
    for left in reversed(range(_REMOVALS)):
        try:
            await engine.send(
                "DELETE", f"containers/{name}", params={"force": "1", "v": "1"}
            )
        except EngineError as exc:
            if exc.status in {_NOT_FOUND, _BEING_REMOVED}:
                return
            # Its file system can be busy for a moment.
            if exc.status != _FAILED or not left:
                raise
            await asyncio.sleep(_BUSY_SECONDS)
        else:
            return


@asynccontextmanager
async def attached(engine: Engine, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """Listen to a container; begin before it starts, and nothing is missed.

    The logs are no substitute: of a container that ends, those that are followed can
    end before its output is in them (7 500 of 20 000 lines were seen).
    """
    path = f"containers/{name}/attach"
    async with engine.listen("POST", path, params=_ATTACH) as pieces:
        yield pieces


async def follow(
    pieces: AsyncIterator[bytes], on_line: Callable[[WrittenLine], None]
) -> None:
    """Hand on each line until the output ends, which is the end of the program."""
    demultiplexer = LineDemultiplexer()
    async for piece in pieces:
        for line in demultiplexer.feed(piece):
            on_line(line)
    for line in demultiplexer.finish():
        on_line(line)


async def exit_code(engine: Engine, name: str) -> int:
    """Wait, for as long as it takes, until a container ends; return its exit code.

    Raises:
        EngineError: The engine is missing, or does not say how it ended.
    """
    async with engine.listen("POST", f"containers/{name}/wait", params={}) as pieces:
        answer = b"".join([piece async for piece in pieces])
    with request_faults(engine.host):
        state = json.loads(answer or b"null")
    try:
        return int(state["StatusCode"])
    except (KeyError, TypeError, ValueError) as exc:
        raise EngineError(
            f"the engine at {engine.host} did not say how {name} ended",
            hint="try again, or look at the engine's log (journalctl -u docker)",
        ) from exc


async def _let_go(
    engine: Engine, name: str, creating: asyncio.Future[object], listener: Listener
) -> None:
    # Whoever created it is told why it was not.
    with suppress(EngineError):
        await creating
        try:
            await remove_container(engine, name)
        except EngineError as exc:
            listener(
                Warned(
                    message=f"the container {name} may be left: {exc}",
                    hint="`aweigh stop --all` removes it, once the engine can",
                )
            )
