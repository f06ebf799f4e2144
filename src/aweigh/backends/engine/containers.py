"""Running one container to its end, with its output as it comes."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from aweigh.backends.engine.text import LineSplitter
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from aweigh.backends.engine.client import Engine

__all__ = ["run_container"]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_LABEL = "aweigh.run"
_ATTACH = {"stream": "1", "stdout": "1", "stderr": "1"}
_HEADER = 8


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
        "Labels": {_LABEL: "1"},
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {"NetworkMode": network_mode, "Binds": list(binds)},
    }
    if command:
        document |= {"Entrypoint": list(command), "Cmd": []}
    if workdir is not None:
        document["WorkingDir"] = workdir
    async with _container(engine, document) as name:
        # Attached before it starts: the logs of a container that ends at once can
        # end before its output is in them.
        async with engine.listen(
            "POST", f"containers/{name}/attach", params=_ATTACH
        ) as pieces:
            await engine.send("POST", f"containers/{name}/start")
            await _follow(pieces, on_log)
        return await _exit_code(engine, name)


@asynccontextmanager
async def _container(
    engine: Engine, document: Mapping[str, object]
) -> AsyncIterator[str]:
    # Creating is not interrupted: a container nobody knows of could not be removed.
    name = f"aweigh-run-{uuid.uuid4().hex[:16]}"
    creating = asyncio.ensure_future(
        engine.send(
            "POST", "containers/create", params={"name": name}, document=document
        )
    )
    try:
        await asyncio.shield(creating)
        yield name
    finally:
        await asyncio.shield(_remove(engine, name, creating))


async def _remove(engine: Engine, name: str, creating: asyncio.Future[object]) -> None:
    # Whatever is wrong here was wrong before, and that error is the one to see.
    with suppress(EngineError):
        await creating
        await engine.send(
            "DELETE", f"containers/{name}", params={"force": "1", "v": "1"}
        )


async def _follow(
    pieces: AsyncIterator[bytes], on_log: Callable[[str], None] | None
) -> None:
    """Wait for the end of the output, which is the end of the container."""
    demultiplexer = _Demultiplexer()
    async for piece in pieces:
        for line in demultiplexer.feed(piece):
            if on_log is not None:
                on_log(line)
    for line in demultiplexer.finish():
        if on_log is not None:
            on_log(line)


async def _exit_code(engine: Engine, name: str) -> int:
    state = await engine.send("POST", f"containers/{name}/wait")
    try:
        return int(state["StatusCode"])
    except (KeyError, TypeError, ValueError) as exc:
        raise EngineError(
            f"the engine at {engine.host} did not say how {name} ended",
            hint="try again, or look at the engine's log (journalctl -u docker)",
        ) from exc


class _Demultiplexer:
    """Takes apart the engine's stream of output and error output.

    Each frame is a header (stream, three zeros, length as four bytes, big-endian) and
    its content: "Stream format" of the Docker Engine API's attach endpoint.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._streams: dict[int, LineSplitter] = {}

    def feed(self, piece: bytes) -> list[str]:
        self._rest += piece
        lines: list[str] = []
        while len(self._rest) >= _HEADER:
            end = _HEADER + int.from_bytes(self._rest[4:_HEADER], "big")
            if len(self._rest) < end:
                break
            stream, content = self._rest[0], self._rest[_HEADER:end]
            self._rest = self._rest[end:]
            lines += self._streams.setdefault(stream, LineSplitter()).feed(content)
        return lines

    def finish(self) -> list[str]:
        return [line for lines in self._streams.values() for line in lines.finish()]
