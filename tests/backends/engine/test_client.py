"""Reaching an engine, or saying clearly why not; and streams that misbehave."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiodocker.docker
import pytest

from aweigh.backends.engine import Deadlines, Engine, open_engine
from aweigh.errors import ChangedError, EngineError, EngineUnavailableError
from tests.backends.engine.doubles import END, chunks, engine_double, response
from tests.services import Services

QUICK = Deadlines(answer=0.3, build=0.3, push=0.3)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave nothing to discover but what the test makes."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(aiodocker.docker, "_sock_search_paths", [])


async def ask(host: str | None, deadlines: Deadlines = QUICK) -> object:
    """Ask an engine for its version."""
    async with open_engine(host, deadlines=deadlines) as engine:
        return await engine.fetch("version")


async def refuse(_line: str, _reader: object, writer: asyncio.StreamWriter) -> None:
    """Answer what a broken proxy answers."""
    writer.write(response(b"<html>Bad\ngateway", "502 Bad", "text/html"))


def ignored(_message: object) -> None:
    """Take no note of a message."""


async def test_the_real_engine_answers(services: Services) -> None:
    """A session is opened, used and closed."""
    found = await ask(services.engine, Deadlines())
    assert isinstance(found, dict)
    assert "ApiVersion" in found


@pytest.mark.usefixtures("clean_environment")
async def test_no_engine_at_all_is_said() -> None:
    """Nothing to discover is one line and a hint, no assertion."""
    with pytest.raises(EngineUnavailableError, match="no container engine") as caught:
        await ask(None)
    assert "DOCKER_HOST" in caught.value.hint


@pytest.mark.usefixtures("clean_environment")
async def test_the_environment_names_the_engine(
    monkeypatch: pytest.MonkeyPatch, services: Services
) -> None:
    """DOCKER_HOST is respected, and the address is kept for messages."""
    monkeypatch.setenv("DOCKER_HOST", services.engine)
    async with open_engine() as engine:
        assert engine.host == services.engine
        assert await engine.fetch("version")


@pytest.mark.usefixtures("clean_environment")
async def test_an_unusable_context_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A context that does not exist is named."""
    monkeypatch.setenv("DOCKER_CONTEXT", "nosuch")
    with pytest.raises(EngineUnavailableError, match="nosuch") as caught:
        await ask(None)
    assert "docker context ls" in caught.value.hint


@pytest.mark.parametrize("host", ["foo", "ftp://x"])
async def test_bad_addresses_are_said(host: str) -> None:
    """The hint shows how an address is written."""
    with pytest.raises(EngineUnavailableError, match="address") as caught:
        await ask(host)
    assert "unix:///" in caught.value.hint


async def test_a_missing_socket_is_no_engine(tmp_path: Path) -> None:
    """The address is named, and how to start an engine."""
    host = f"unix://{tmp_path}/none.sock"
    with pytest.raises(EngineUnavailableError, match="no engine is running") as caught:
        await ask(host)
    assert host in str(caught.value)
    assert "start it" in caught.value.hint


async def test_a_refused_connection_is_no_engine(tmp_path: Path) -> None:
    """A socket nobody listens at any more is the same."""
    path = tmp_path / "dead.sock"
    async with engine_double(path, refuse):
        pass
    with pytest.raises(EngineUnavailableError, match="no engine is running"):
        await ask(f"unix://{path}")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_a_forbidden_socket_says_which_group(tmp_path: Path) -> None:
    """The hint names the group to join."""
    path = tmp_path / "engine.sock"
    async with engine_double(path, refuse) as host:
        path.chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(EngineUnavailableError, match="no permission") as caught:
                await ask(host)
        finally:
            os.seteuid(0)
    assert "usermod -aG docker" in caught.value.hint


async def test_an_unknown_server_is_unreachable() -> None:
    """A name without an address is told in its own words."""
    with pytest.raises(EngineUnavailableError, match="cannot be reached"):
        await ask("tcp://engine.invalid:2375", Deadlines(answer=10))


async def test_a_hanging_engine_is_left_alone_in_time(tmp_path: Path) -> None:
    """An engine that accepts and says nothing costs the deadline, not more."""
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_unix_server(hang, tmp_path / "s")
    async with server, asyncio.timeout(5):
        with pytest.raises(EngineUnavailableError, match=r"silent for 0.3 s"):
            await ask(f"unix://{tmp_path}/s")
        await gone.wait()


async def test_a_sign_of_life_is_not_waited_for_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is an engine at all is known soon, whatever its deadlines."""
    monkeypatch.setattr("aweigh.backends.engine.client._PING_SECONDS", 0.1)

    hung_up = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    async with await asyncio.start_unix_server(hang, tmp_path / "s"):
        async with open_engine(f"unix://{tmp_path}/s") as engine:
            with pytest.raises(EngineUnavailableError, match=r"silent for 0\.1 s"):
                await engine.ping()
        await hung_up.wait()


async def test_a_stream_that_falls_silent_ends(tmp_path: Path) -> None:
    """After its first bytes, an answer may not pause for longer than the deadline."""

    async def stall(_: str, reader: asyncio.StreamReader, writer: object) -> None:
        assert isinstance(writer, asyncio.StreamWriter)
        writer.write(chunks(b'{"status": "working"}\n'))
        await reader.read()

    heard: list[object] = []
    async with engine_double(tmp_path / "s", stall) as host, open_engine(host) as e:
        with pytest.raises(EngineUnavailableError, match=r"silent for 0\.2 s"):
            await e.stream_messages("build", heard.append, idle=0.2)
    assert heard == [{"status": "working"}]


async def test_every_byte_extends_the_idle_deadline(tmp_path: Path) -> None:
    """A slow stream that goes on is fine, with any deadline that is long enough."""

    async def drip(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(chunks())
        for _piece in range(6):
            await asyncio.sleep(0.1)
            writer.write(b"3\r\n{}\n\r\n")
        writer.write(END)

    heard: list[object] = []
    async with engine_double(tmp_path / "s", drip) as host, open_engine(host) as e:
        await e.stream_messages("build", heard.append, idle=0.3)
    assert len(heard) == 6


async def test_half_a_stream_is_an_error(tmp_path: Path) -> None:
    """A connection that breaks off is told from an end."""

    async def cut(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(chunks(b"{}\n"))
        await writer.drain()

    async with engine_double(tmp_path / "s", cut) as host, open_engine(host) as e:
        with pytest.raises(EngineUnavailableError, match="broke off"):
            await e.stream_messages("build", ignored, idle=5)


async def test_html_is_no_engine(tmp_path: Path) -> None:
    """A proxy's error page is quoted on one line."""
    async with engine_double(tmp_path / "s", refuse) as host, open_engine(host) as e:
        with pytest.raises(EngineUnavailableError, match="502: <html>Bad"):
            await e.send("POST", "anything")


@pytest.mark.parametrize(
    "answer",
    [
        response(b"<html>", kind="text/html"),
        response(b"{}", "404 Not Found"),
        response(b"[", "400 Bad"),
    ],
    ids=["html", "no message", "broken JSON"],
)
async def test_other_servers_are_told(tmp_path: Path, answer: bytes) -> None:
    """What does not speak the API is said so."""

    async def other(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with engine_double(tmp_path / "s", other) as host, open_engine(host) as e:
        with pytest.raises(EngineError, match="does not speak the Docker Engine API"):
            await e.send("GET", "anything")


async def test_refusals_keep_their_status(engine: Engine) -> None:
    """404 is None for a question and an error for a command."""
    assert await engine.fetch("containers/nosuch-aweigh/json") is None
    with pytest.raises(EngineError, match="No such container") as caught:
        await engine.send("POST", "containers/nosuch-aweigh/start")
    assert caught.value.status == 404
    with pytest.raises(EngineError) as caught:
        await engine.fetch("images/json", params={"filters": "["})
    assert caught.value.status in (400, 500)


async def test_an_error_of_the_body_is_the_error(engine: Engine) -> None:
    """What stops our side of an upload is not hidden behind the connection's end."""

    async def body() -> AsyncIterator[bytes]:
        yield b"\0" * 10
        raise ChangedError("x changed", hint="again")

    with pytest.raises(ChangedError, match="x changed"):
        await engine.stream_messages(
            "build", ignored, idle=5, params={"version": "2"}, body=body()
        )


async def test_an_error_of_the_body_wins_over_an_answer(tmp_path: Path) -> None:
    """An engine that answers half an upload politely built something else."""
    told = asyncio.Event()

    async def answer(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(chunks(b"{}\n"))
        await told.wait()
        writer.write(END)

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        told.set()
        raise ChangedError("x changed", hint="again")

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        with pytest.raises(ChangedError, match="x changed"):
            await e.stream_messages("build", ignored, idle=5, body=body())


async def test_an_engine_that_stops_reading_is_noticed(tmp_path: Path) -> None:
    """An upload nobody takes ends at the idle deadline, and closes its source."""
    closed = asyncio.Event()

    done = asyncio.Event()

    async def ignore(_: str, _reader: object, _writer: object) -> None:
        await done.wait()

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1_000_000
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with engine_double(tmp_path / "s", ignore) as host, open_engine(host) as e:
        with pytest.raises(EngineUnavailableError, match="silent"):
            await e.stream_messages("build", ignored, idle=0.2, body=body())
        assert closed.is_set()
        done.set()


async def test_a_callers_timeout_stays_a_timeout(tmp_path: Path) -> None:
    """A deadline of the caller is not reported as the engine's silence."""

    async def hang(_: str, reader: asyncio.StreamReader, _writer: object) -> None:
        await reader.read()

    async with engine_double(tmp_path / "s", hang) as host, open_engine(host) as e:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await e.stream_messages("build", ignored, idle=5)


async def test_the_last_message_needs_no_line_break(tmp_path: Path) -> None:
    """An answer that ends after its last message is whole."""

    async def answer(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(chunks(b'{"a": 1}\n{"b"', b": 2}") + END)

    heard: list[object] = []
    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        await e.stream_messages("build", heard.append, idle=5)
    assert heard == [{"a": 1}, {"b": 2}]


async def test_a_plain_iterator_can_be_a_body(tmp_path: Path) -> None:
    """A source without anything to close is fine."""

    class Once:
        done = False

        def __aiter__(self) -> "Once":
            return self

        async def __anext__(self) -> bytes:
            if self.done:
                raise StopAsyncIteration
            self.done = True
            return b"x"

    async def answer(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(chunks(b"{}\n") + END)

    heard: list[object] = []
    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        await e.stream_messages("build", heard.append, idle=5, body=Once())
    assert heard == [{}]


async def test_uploads_arrive_whole(tmp_path: Path) -> None:
    """What a body yields is what the engine reads."""
    sent = [os.urandom(300_000) for _ in range(10)]
    received = hashlib.sha256()

    async def receive(
        _: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while size := int((await reader.readline()).strip() or b"0", 16):
            received.update(await reader.readexactly(size))
            await reader.readexactly(2)
        writer.write(chunks(b"{}\n") + END)

    async def body() -> AsyncIterator[bytes]:
        for piece in sent:
            yield piece

    async with engine_double(tmp_path / "s", receive) as host, open_engine(host) as e:
        await e.stream_messages("build", ignored, idle=5, body=body())
    assert received.digest() == hashlib.sha256(b"".join(sent)).digest()
