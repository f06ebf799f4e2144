"""Containers that a dev loop holds: reached, waited for, stopped, never left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aweigh.backends.engine import DockerTarget, open_engine
from aweigh.errors import EngineUnavailableError, TargetError
from aweigh.flow.target import DevTarget, Instance
from tests.backends.engine.doubles import Credentials, Heard
from tests.backends.engine.target.docker.support import SERVER, Ground
from tests.backends.engine.target.support import get, until
from tests.services import Services

SERVE = SERVER.format(answer="here", status=200)


async def answers(instance: Instance) -> bool:
    """Tell whether the program answers at the instance's address."""
    host, port = instance.address
    return await get(f"http://{host}:{port}") == "here"


@contextlib.asynccontextmanager
async def forwarded(path: str) -> AsyncIterator[str]:
    """Have the engine's socket answer on a TCP port, as one in a VM does."""
    busy: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(path)
        for one in (pump(reader, back), pump(there, writer)):
            busy.add(asyncio.ensure_future(one))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for one in busy:
            one.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


async def test_a_program_is_reached_on_its_own_address(ground: Ground) -> None:
    """It is told its port; stopping removes it, and stopping again is no error."""
    assert isinstance(ground.target, DevTarget)
    task = ground.python(SERVE)
    instance = await ground.target.start(task, ground.lines.append, port=8123)
    assert instance.name == task.name
    assert instance.address[1] == 8123
    await until(lambda: answers(instance))
    [listed] = await ground.target.running()
    assert listed.kind == "serve"
    await instance.stop(grace=1)
    assert await ground.containers() == []
    assert await instance.wait() in {137, 143}
    await instance.stop()
    assert ground.texts() == ["serving here"]


async def test_a_program_is_reached_where_its_address_is_not(
    ground: Ground, services: Services
) -> None:
    """Of an engine elsewhere the port is published, on loopback when that is near."""
    async with (
        forwarded(urlsplit(services.engine).path) as host,
        open_engine(host) as engine,
    ):
        target = DockerTarget(
            engine,
            credentials=Credentials(),
            listener=Heard(),
            namespace=ground.namespace,
        )
        instance = await target.start(
            ground.python(SERVE), ground.lines.append, port=8123
        )
        try:
            assert instance.address[0] == "127.0.0.1"
            assert instance.address[1] != 8123
            await until(lambda: answers(instance))
            [container] = await ground.containers()
            assert {port["IP"] for port in container["Ports"]} == {"127.0.0.1"}
        finally:
            await instance.stop(grace=0)


async def test_the_end_of_a_program_is_waited_for(ground: Ground) -> None:
    """Several may wait; its last line comes before its exit code."""
    task = ground.task("sh", "-c", "sleep 0.5; echo bye; exit 4")
    instance = await ground.target.start(task, ground.lines.append, port=1)
    assert list(await asyncio.gather(instance.wait(), instance.wait())) == [4, 4]
    assert ground.texts() == ["bye"]
    await instance.stop()
    assert await instance.wait() == 4


async def test_waiting_can_be_cancelled(ground: Ground) -> None:
    """The program goes on."""
    instance = await ground.target.start(
        ground.python(SERVE), ground.lines.append, port=8000
    )
    waiting = asyncio.create_task(instance.wait())
    await until(lambda: answers(instance))
    waiting.cancel()
    await asyncio.wait({waiting})
    assert await answers(instance)
    await instance.stop(grace=0)


async def test_a_program_that_ends_at_once_is_told(ground: Ground) -> None:
    """Either as an error of the start, or by its exit code; nothing is left."""
    task = ground.task("sh", "-c", "exit 5")
    try:
        instance = await ground.target.start(task, ground.lines.append, port=1)
    except TargetError as exc:
        assert "exit code 5" in str(exc)  # noqa: PT017 - both answers are right
    else:
        assert await instance.wait() == 5
        await instance.stop()
    assert await ground.containers() == []


async def test_cancelled_at_any_moment_nothing_is_left(ground: Ground) -> None:
    """What was started before the cancelling was seen is stopped."""
    for number in range(12):
        start = asyncio.create_task(
            ground.target.start(ground.python(SERVE), ground.lines.append, port=8000)
        )
        await asyncio.sleep(number * 0.05)
        start.cancel()
        await asyncio.wait({start})
        if not start.cancelled():
            await start.result().stop(grace=0)
        assert await ground.containers() == []


async def test_a_stop_that_is_cancelled_is_finished(ground: Ground) -> None:
    """The container is gone when the cancelling is seen."""
    instance = await ground.target.start(
        ground.python(SERVE), ground.lines.append, port=8000
    )
    stop = asyncio.create_task(instance.stop(grace=1))
    await asyncio.sleep(0.01)
    stop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stop
    assert await ground.containers() == []


async def test_an_engine_that_is_not_there_is_an_error(
    ground: Ground, tmp_path: Path
) -> None:
    """The same error as everywhere else."""
    async with open_engine(f"unix://{tmp_path}/none") as engine:
        target = DockerTarget(engine, credentials=Credentials(), listener=Heard())
        task = ground.task("true")
        with pytest.raises(EngineUnavailableError):
            await target.run(task, ground.lines.append)
        with pytest.raises(EngineUnavailableError):
            await target.start(task, ground.lines.append, port=1)
        with pytest.raises(EngineUnavailableError):
            await target.deploy(ground.service("x"))
        with pytest.raises(EngineUnavailableError):
            await target.running()
        with pytest.raises(EngineUnavailableError):
            await target.remove_all()
