"""Rows 33 to 36 of the fault table: engines that fail, and what the user sees.

Hanging and dying engines are the real one behind a proxy that goes silent or cuts its
answers: what the client sees is the same, and nobody else's engine is touched.
"""

import asyncio
import os
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiodocker.docker
import pytest

from aweigh import Image, ImageSpec, Settings, open_session
from aweigh.backends.engine.client import Deadlines
from aweigh.errors import EngineError, EngineUnavailableError, PushError
from aweigh.events import BuildFinished
from aweigh.testing import FaultProxy
from aweigh.testing.proxy_faults import (
    Answer,
    CutRequest,
    CutResponse,
    Garbage,
    Hang,
    Stall,
)
from tests.backends.engine.doubles import eventually, running, unique_seconds
from tests.faults.scene import Scene, scratch_spec
from tests.services import Services

BUILD = r"/build$"
PUSH = r"/push$"
JSON = {"Content-Type": "application/json"}
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
async def engine_proxy(services: Services) -> AsyncIterator[FaultProxy]:
    """Return a proxy in front of the engine's socket."""
    async with FaultProxy(services.engine) as opened:
        yield opened


@pytest.fixture
def scene(
    live: Settings, engine_proxy: FaultProxy, tmp_path: Path, _nobody: None
) -> Scene:
    """Return a scene whose engine is behind the proxy, and that must be built."""
    scene = Scene(
        settings=live,
        spec=scratch_spec(tmp_path / "context"),
        host=str(live.registry).partition("/")[0],
    )
    return scene.with_settings(engine=f"tcp://{engine_proxy.address}")


async def fails(scene: Scene, kind: type[EngineError]) -> EngineError:
    """Ensure the image and get an error of exactly this kind; nothing is remembered."""
    with pytest.raises(EngineError) as caught:
        await scene.ensure()
    assert type(caught.value) is kind
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    async with open_session(scene.settings, clock=scene.clock) as session:
        assert (await session.explain(scene.spec)).image.tier == "build"
    return caught.value


@asynccontextmanager
async def building(
    scene: Scene, services: Services
) -> AsyncIterator[tuple[asyncio.Task[Image], str]]:
    """Start a build in an open session; yield it once its step sleeps, and for what."""
    seconds = unique_seconds()
    scene.spec = ImageSpec("app", base=services.base).with_run(f"sleep {seconds}")
    async with open_session(scene.settings, clock=scene.clock) as session:
        task = asyncio.create_task(session.ensure_image(scene.spec))
        await eventually(lambda: running(seconds) or task.done())
        assert running(seconds)
        yield task, seconds


# Row 33: no engine


@pytest.mark.parametrize(
    ("engine", "says", "hint"),
    [
        ("unix:///no/such.sock", "no engine is running at unix:///no/such", "start it"),
        ("tcp://127.0.0.1:1", "no engine is running at", "start it"),
        ("foo", "address cannot be used", "unix:///path/to/docker.sock"),
        ("tcp://no-such-host.invalid:2375", "cannot be reached", "start it"),
    ],
)
async def test_row_33_no_engine_is_one_line_and_a_hint(
    scene: Scene, engine: str, says: str, hint: str
) -> None:
    """33, engine down, no socket, DOCKER_HOST bad: one line and a hint each."""
    error = await fails(scene.with_settings(engine=engine), EngineUnavailableError)
    assert says in str(error)
    assert hint in error.hint


async def test_row_33_nothing_names_an_engine(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """33, no socket anywhere: said so, and no AssertionError."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(aiodocker.docker, "_sock_search_paths", [])
    error = await fails(scene.with_settings(engine=None), EngineUnavailableError)
    assert "no container engine was found" in str(error)
    assert "DOCKER_HOST" in error.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_row_33_no_permission_names_the_group(
    scene: Scene, services: Services
) -> None:
    """33, no permission: which group to join; the unreadable cache does not matter."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "engine.sock")
        server = await asyncio.start_unix_server(lambda _, w: w.close(), path)
        path.chmod(0o600)
        Path(directory).chmod(0o755)
        forbidden = scene.with_settings(engine=f"unix://{path}", builder="engine")
        forbidden.spec = ImageSpec("app", base=services.base)
        # What Python reads of itself, and once: somebody else may not read it here.
        sysconfig.get_config_vars()
        os.seteuid(65534)
        try:
            error = await fails(forbidden, EngineUnavailableError)
        finally:
            os.seteuid(0)
            server.close()
    assert "no permission" in str(error)
    assert "usermod -aG docker" in error.hint


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Garbage(), EngineUnavailableError),
        (Answer(502, b"<html>Bad\ngateway"), EngineUnavailableError),
        (Answer(200, b"<html>Hello", JSON), EngineError),
    ],
)
async def test_row_33_something_else_answers(
    scene: Scene, engine_proxy: FaultProxy, fault: Answer, kind: type[EngineError]
) -> None:
    """33, DOCKER_HOST names something else: an error that says where it looked."""
    engine_proxy.always(fault)
    assert engine_proxy.address in str(await fails(scene, kind))


# Row 34: a hung engine


async def test_row_34_an_engine_that_says_nothing(
    scene: Scene, engine_proxy: FaultProxy, engine_deadlines: Deadlines
) -> None:
    """34, engine hung: the deadline for an answer, and who was silent."""
    engine_proxy.always(Hang())
    started = time.monotonic()
    error = await fails(scene, EngineUnavailableError)
    assert time.monotonic() - started < engine_deadlines.answer + 3
    assert f"{engine_proxy.address} has been silent for 1 s" in str(error)


async def test_row_34_an_engine_that_falls_silent_in_a_build(
    scene: Scene,
    services: Services,
    engine_proxy: FaultProxy,
    engine_deadlines: Deadlines,
) -> None:
    """34, hung mid-build: the idle deadline, and the step is cancelled."""
    engine_proxy.always(Stall(300), path=BUILD)
    async with building(scene, services) as (task, seconds):
        with pytest.raises(EngineUnavailableError) as caught:
            await task
        # Before the session, and its connections with it, is closed.
        assert await eventually(lambda: not running(seconds)) < 1.5
    said = f"silent for {engine_deadlines.build:g} s (build)"
    assert said in str(caught.value)


async def test_row_34_an_engine_that_falls_silent_in_a_push(
    scene: Scene, engine_proxy: FaultProxy, engine_deadlines: Deadlines
) -> None:
    """34, hung mid-push: the idle deadline, and no tag of ours."""
    engine_proxy.always(Stall(250), path=PUSH)
    error = await fails(scene, EngineUnavailableError)
    assert f"silent for {engine_deadlines.push:g} s" in str(error)
    assert scene.heard.of(BuildFinished)
    engine_proxy.clear()
    assert (await scene.ensure()).origin == "built"


# Row 35: an engine that dies


@pytest.mark.parametrize("path", [BUILD, PUSH])
@pytest.mark.parametrize(
    "fault",
    [
        CutResponse(after=0),
        CutResponse(after=350),
        CutResponse(after=350, reset=False),
    ],
)
async def test_row_35_an_engine_that_dies_at_work(
    scene: Scene, engine_proxy: FaultProxy, fault: CutResponse, path: str
) -> None:
    """35, engine dies mid-build, mid-push: an error, never success."""
    engine_proxy.next(fault, path=path)
    error = await fails(scene, EngineUnavailableError)
    assert engine_proxy.address in str(error)


async def test_row_35_an_engine_that_dies_while_it_reads(
    scene: Scene, engine_proxy: FaultProxy
) -> None:
    """35, upload cut in the middle of the context: an error, never success."""
    engine_proxy.next(CutRequest(100), path=BUILD)
    await fails(scene, EngineUnavailableError)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (BUILD, b"", "without result"),
        (BUILD, b'{"stream": "Successfully built"}\n', "without result"),
        (BUILD, b'{"aux": {"ID": "%s"}}\n' % DIGEST.encode(), "without result"),
        (PUSH, b"", "without a result"),
        (PUSH, b'{"status": "latest: digest: sha256"}\n', "without a result"),
        (PUSH, b'{"aux": {"Digest": "%s"}}\n' % DIGEST.encode(), "has nothing"),
    ],
)
async def test_row_35_a_stream_that_ends_clean(
    scene: Scene, engine_proxy: FaultProxy, path: str, body: bytes, says: str
) -> None:
    """35, stream ends clean without its result: no success; HEAD has the last word."""
    engine_proxy.next(Answer(200, body, JSON), path=path)
    assert says in str(await fails(scene, PushError if path == PUSH else EngineError))


async def test_row_35_the_next_run_goes_on(
    scene: Scene, engine_proxy: FaultProxy
) -> None:
    """35, after an engine died: nothing poisoned, the next run builds and pushes."""
    engine_proxy.next(CutResponse(after=350), path=BUILD)
    engine_proxy.next(CutResponse(after=250), path=PUSH)
    for _ in range(2):
        with pytest.raises(EngineUnavailableError):
            await scene.ensure()
    assert [(await scene.ensure()).origin for _ in range(2)] == ["built", "recalled"]


# Row 36: cancellation


async def test_row_36_a_cancelled_build_stops_in_the_engine(
    scene: Scene, services: Services
) -> None:
    """36, cancelled build: the step is gone within a second or so, nothing is left."""
    async with building(scene, services) as (task, seconds):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await eventually(lambda: not running(seconds)) < 1.5
    async with open_session(scene.settings, clock=scene.clock) as session:
        assert (await session.explain(scene.spec)).image.tier == "build"
