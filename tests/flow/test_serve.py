"""The dev loop: edits replace what runs, and nobody's request is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aweigh.backends.watcher import TreeWatcher
from aweigh.bundle.scanner import bundle_rules
from aweigh.errors import DeployError, ImageGoneError, SpecError, TargetError
from aweigh.events import (
    Event,
    ServeEnded,
    ServeKept,
    ServeSwitched,
    Warned,
    silent,
)
from aweigh.flow.serve import Dev, serving
from aweigh.flow.serving import Serving
from aweigh.flow.target import LogLine, Task
from aweigh.flow.watched import Watched
from tests.flow.clients import clients, get
from tests.flow.processes import Copies, Process, ProcessTarget, free_port
from tests.flow.servers import server

COMMAND = ("python", "-u", "web.py")


@dataclass
class Scene:
    """A directory that is served, and all that was heard of it."""

    folder: Path
    code: Copies
    target: ProcessTarget
    events: list[Event] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def write(self, text: str) -> None:
        """Edit the program as editors do: another file in its place."""
        new = self.folder / "web.py.new"
        new.write_text(text)
        new.replace(self.folder / "web.py")

    def hear(self, line: LogLine) -> None:
        """Note a line."""
        self.lines.append(line.text)

    def serve(self, how: Serving | None = None) -> AbstractAsyncContextManager[Dev]:
        """Serve it."""
        rules = bundle_rules(self.folder, (), ())
        return serving(
            how or Serving(port=0, health_timeout=20.0, drain=3.0),
            self.code,
            self.target,
            TreeWatcher([Watched(root=self.folder, rules=rules)]),
            on_log=self.hear,
            listener=self.events.append,
        )


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a scene with a first version; nothing of it may stay."""
    folder = tmp_path / "src"
    folder.mkdir()
    code = Copies(folder, tmp_path / "images", COMMAND)
    made = Scene(folder, code, ProcessTarget())
    made.write(server(1))
    yield made
    assert made.target.alive == []


async def test_ten_edits_lose_no_request(scene: Scene) -> None:
    """Requests flow, with keep-alive and without, while ten versions come and go."""
    async with scene.serve() as dev:
        outcomes = dev.outcomes()
        async with clients(dev.url) as asking:
            async with asyncio.timeout(20):
                while not all(client.answers for client in asking):
                    await asyncio.sleep(0.01)
            for version in range(2, 12):
                scene.write(server(version))
                outcome = await asyncio.wait_for(anext(outcomes), 30)
                assert isinstance(outcome, ServeSwitched), outcome
                told = await asyncio.to_thread(get, dev.url)
                assert told == f"200 {version}"
            async with asyncio.timeout(20):
                while any(client.answers[-1] != "11" for client in asking):
                    await asyncio.sleep(0.01)
        await outcomes.aclose()
    for client in asking:
        assert client.failures == []
        assert set(client.answers) >= {"1", "11"}
        # Nothing is answered by a version that was replaced before it was asked.
        assert [int(each) for each in client.answers] == sorted(
            map(int, client.answers)
        )
    # Its connection outlives every version.
    assert [client.connections for client in asking[:2]] == [1, 1]
    assert sum(isinstance(event, ServeSwitched) for event in scene.events) == 11


async def test_a_slow_request_is_answered_by_the_version_that_has_it(
    scene: Scene,
) -> None:
    """A switch waits for what the old version is busy with."""
    async with scene.serve() as dev:
        outcomes = dev.outcomes()
        slow = asyncio.create_task(asyncio.to_thread(get, dev.url, "/slow"))
        await asyncio.sleep(0.1)
        scene.write(server(2))
        await asyncio.wait_for(anext(outcomes), 20)
        assert await slow == "200 1"
        assert await asyncio.to_thread(get, dev.url) == "200 2"
        await outcomes.aclose()
        async with asyncio.timeout(10):
            while len(scene.target.alive) > 1:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("print('before'\n", "SyntaxError"),
        ("import sys; print('no database'); sys.exit(3)\n", "exit code 3"),
        (
            "import time; print('not listening'); time.sleep(60)\n",
            "nothing listens there",
        ),
        (server(2).replace("200", "503"), "GET / answers 503"),
    ],
    ids=["syntax", "exits", "deaf", "unwell"],
)
async def test_a_version_that_fails_leaves_the_old_one(
    scene: Scene, broken: str, told: str
) -> None:
    """It is told why, with the program's last lines, and the next edit helps."""
    patience = 5.0 if told.startswith(("nothing", "GET")) else 30.0
    how = Serving(port=0, health_timeout=patience)
    async with scene.serve(how) as dev:
        outcomes = dev.outcomes()
        scene.write(broken)
        kept = await asyncio.wait_for(anext(outcomes), 20)
        assert isinstance(kept, ServeKept)
        assert told in kept.reason
        assert kept.hint
        assert (kept.version, kept.kept, dev.version) == (2, 1, 1)
        assert await asyncio.to_thread(get, dev.url) == "200 1"
        assert len(scene.target.alive) == 1
        scene.write(server(3))
        mended = await asyncio.wait_for(anext(outcomes), 20)
        assert isinstance(mended, ServeSwitched)
        assert await asyncio.to_thread(get, dev.url) == "200 3"
        await outcomes.aclose()


async def test_a_newer_edit_overtakes_one_that_is_not_well_yet(scene: Scene) -> None:
    """Nobody waits for the end of a version's patience after having mended it."""
    async with scene.serve(Serving(port=0, health_timeout=60)) as dev:
        outcomes = dev.outcomes()
        scene.write("import time; time.sleep(60)\n")
        async with asyncio.timeout(20):
            while len(scene.target.started) < 2:
                await asyncio.sleep(0.02)
        scene.write(server(2))
        outcome = await asyncio.wait_for(anext(outcomes), 20)
        assert isinstance(outcome, ServeSwitched)
        async with asyncio.timeout(10):
            while scene.target.alive != [outcome_name(scene, outcome)]:
                await asyncio.sleep(0.02)
        await outcomes.aclose()


def outcome_name(scene: Scene, outcome: ServeSwitched) -> str:
    """Return the name of the instance of a version."""
    names = [one.name for one in scene.target.started]
    return next(name for name in names if name.endswith(f"-v{outcome.version}"))


async def test_what_ends_by_itself_is_told_and_the_next_edit_helps(
    scene: Scene,
) -> None:
    """Meanwhile requests get an answer that says so; even the same code is started."""
    die = "import threading; threading.Timer(1.0, lambda: os._exit(7)).start()"
    async with scene.serve() as dev:
        outcomes = dev.outcomes()
        scene.write(server(2, die))
        assert isinstance(await asyncio.wait_for(anext(outcomes), 20), ServeSwitched)
        ended = await asyncio.wait_for(anext(outcomes), 20)
        assert ended == ServeEnded(version=2, exit_code=7)
        answer = await asyncio.to_thread(get, dev.url)
        assert answer.startswith("502 ")
        assert "exit code 7" in answer
        (scene.folder / "web.py").touch()
        again = await asyncio.wait_for(anext(outcomes), 20)
        assert isinstance(again, ServeSwitched)
        assert await asyncio.to_thread(get, dev.url) == "200 2"
        await outcomes.aclose()


async def test_what_ended_while_it_was_started_is_told_with_its_lines(
    scene: Scene,
) -> None:
    """A target may notice that before anybody asks whether it is well."""
    scene.target.hasty = True
    async with scene.serve() as dev:
        outcomes = dev.outcomes()
        scene.write("raise SystemExit('no config')\n")
        kept = await asyncio.wait_for(anext(outcomes), 20)
        assert isinstance(kept, ServeKept)
        assert kept.reason == "ended with 1\n    no config"
        await outcomes.aclose()


async def test_a_first_version_that_fails_is_the_callers_to_know(scene: Scene) -> None:
    """There is nothing to keep: entering raises, and nothing is left."""
    scene.write("raise SystemExit('no config')\n")
    with pytest.raises(DeployError, match="no config") as failure:
        async with scene.serve():
            pytest.fail("it cannot be served")
    assert failure.value.log[-1] == "no config"


async def test_a_taken_port_is_told(scene: Scene) -> None:
    """Before anything is started."""
    blocker = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = blocker.sockets[0].getsockname()[1]
    with pytest.raises(SpecError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with scene.serve(Serving(port=port)):
            pytest.fail("somebody else has it")
    blocker.close()
    assert scene.target.started == []


async def test_a_deleted_image_is_made_again(scene: Scene) -> None:
    """A target that misses the image gets it once more."""
    scene.target.gone = 1
    async with scene.serve() as dev:
        assert await asyncio.to_thread(get, dev.url) == "200 1"
    assert scene.code.builds >= 2


async def test_edits_of_ignored_files_trigger_nothing(scene: Scene) -> None:
    """Neither bytecode nor what an ignore file names counts."""
    (scene.folder / ".gitignore").write_text("*.log\nout/\n")
    async with scene.serve() as dev:
        await asyncio.sleep(0.3)
        before = scene.code.builds
        (scene.folder / "x.log").write_text("1")
        (scene.folder / "out").mkdir()
        (scene.folder / "out" / "a.py").write_text("1")
        (scene.folder / "__pycache__").mkdir()
        (scene.folder / "__pycache__" / "a.pyc").write_text("1")
        await asyncio.sleep(0.6)
        assert scene.code.builds == before
        assert dev.version == 1


async def test_cancelling_at_any_moment_leaves_nothing(scene: Scene) -> None:
    """Also while a version is starting, or leaving."""
    for delay in (0.0, 0.02, 0.1, 0.2, 0.4, 0.8):

        async def serve(delay: float = delay) -> None:
            async with scene.serve() as dev:
                scene.write(server(f"2-{delay}"))
                await dev.wait()

        task = asyncio.create_task(serve())
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert scene.target.alive == []


async def test_a_watcher_that_fails_ends_the_loop(scene: Scene) -> None:
    """Better than serving what nobody edits any more."""

    class Blind:
        @asynccontextmanager
        async def changes(self) -> AsyncIterator[AsyncIterator[frozenset[str]]]:
            async def fail() -> AsyncIterator[frozenset[str]]:
                for _ in range(1):
                    raise SpecError("blind", hint="?")
                yield frozenset()

            yield fail()

    with pytest.raises(SpecError, match="blind"):
        async with serving(
            Serving(port=0),
            scene.code,
            scene.target,
            Blind(),
            on_log=scene.hear,
            listener=silent,
        ) as dev:
            await dev.wait()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Serving(port=70_000),
        lambda: Serving(port=-1),
        lambda: Serving(health_path="healthz"),
    ],
)
def test_serving_refuses_nonsense(wrong: Callable[[], Serving]) -> None:
    """Impossible ports and paths are no settings."""
    with pytest.raises(SpecError):
        wrong()


def test_the_inner_port_follows_the_outer() -> None:
    """The program listens on the port people name, unless that is none."""
    assert Serving(port=9000).inner_port == 9000
    assert Serving(port=0).inner_port == 8000
    assert Serving(port=80, container_port=5000).inner_port == 5000


async def keep_talking(writer: asyncio.StreamWriter) -> None:
    """Let no tunnel become quiet."""
    while True:
        writer.write(b"talk\n")
        await asyncio.sleep(0.05)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection ends, in whichever way."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_what_speaks_no_http_is_forwarded_as_it_is(scene: Scene) -> None:
    """Without a health path a connection is a tunnel; a switch ends it when quiet."""
    echo = """
import os, socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"hello VERSION\\n")
        for line in self.rfile:
            self.wfile.write(line.upper())
socketserver.ThreadingTCPServer(("", int(os.environ["PORT"])), Echo).serve_forever()
"""
    scene.write(echo.replace("VERSION", "1"))
    port = free_port()
    async with scene.serve(Serving(port=port, health_path=None, drain=5.0)) as dev:
        assert dev.url == f"tcp://127.0.0.1:{port}"
        outcomes = dev.outcomes()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"hello 1\n"
        busy = asyncio.create_task(keep_talking(writer))
        scene.write(echo.replace("VERSION", "2"))
        await asyncio.wait_for(anext(outcomes), 20)
        busy.cancel()
        writer.write(b"still here\n")
        while await reader.readline() != b"STILL HERE\n":
            pass
        assert await asyncio.wait_for(rest(reader), 5) == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"hello 2\n"
        writer.close()
        await outcomes.aclose()


@dataclass
class Failing:
    """Code that cannot be built from some moment on."""

    code: Copies
    error: BaseException | None = None

    async def task(self) -> Task:
        """Fail if it is to."""
        if self.error is not None:
            raise self.error
        return await self.code.task()

    async def heal(self, error: ImageGoneError) -> Task:
        """Never needed here."""
        raise error


def bad(name: str) -> SpecError:
    """Return an error that people can cause."""
    return SpecError(f"{name} is bad", hint="mend it")


async def test_what_cannot_be_built_is_told_and_the_old_one_stays(scene: Scene) -> None:
    """Image and bundle may both fail; what nobody foresaw ends the loop."""
    code = Failing(scene.code)
    rules = bundle_rules(scene.folder, (), ())

    async def serve() -> None:
        async with serving(
            Serving(port=0),
            code,
            scene.target,
            TreeWatcher([Watched(root=scene.folder, rules=rules)]),
            on_log=scene.hear,
            listener=scene.events.append,
        ) as dev:
            await fail_in_turn(dev)

    async def fail_in_turn(dev: Dev) -> None:
        outcomes = dev.outcomes()
        for failure, told in (
            (bad("spec"), ["spec is bad"]),
            (ExceptionGroup("", [bad("a"), bad("b")]), ["a is bad", "b is bad"]),
        ):
            code.error = failure
            (scene.folder / "web.py").touch()
            for reason in told:
                kept = await asyncio.wait_for(anext(outcomes), 20)
                assert isinstance(kept, ServeKept)
                assert (kept.reason, kept.hint) == (reason, "mend it")
        assert await asyncio.to_thread(get, dev.url) == "200 1"
        code.error = ZeroDivisionError()
        (scene.folder / "web.py").touch()
        await dev.wait()

    with pytest.raises(ZeroDivisionError):
        await serve()


async def test_servers_are_told_where_to_listen(scene: Scene) -> None:
    """By PORT, and by variables that they read themselves; a task's own win."""
    names = "UVICORN_HOST", "UVICORN_PORT", "FLASK_RUN_HOST"
    look = f"print(*(os.environ[name] for name in {names}), flush=True)"
    scene.write(server(1, look))
    async with scene.serve(Serving(port=0, container_port=5000)):
        pass
    assert "0.0.0.0 5000 0.0.0.0" in scene.lines


async def test_an_engine_that_refuses_to_stop_is_a_warning(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch was made; somebody has to clear up later."""
    stop = Process.stop

    async def refuse(self: Process, *, grace: float = 10.0) -> None:
        await stop(self, grace=grace)
        raise TargetError("no", hint="aweigh stop --all", target="x")

    monkeypatch.setattr(Process, "stop", refuse)
    async with scene.serve():
        pass
    assert Warned(message="no", hint="aweigh stop --all") in scene.events
