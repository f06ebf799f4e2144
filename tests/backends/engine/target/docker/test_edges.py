"""What seldom happens: turns of the dead, names of others, engines that hang."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.engine import Deadlines, DockerTarget, Engine, open_engine
from aweigh.backends.engine.containers import remove_container
from aweigh.backends.engine.frames import LineDemultiplexer
from aweigh.backends.engine.holder import holder_is_dead, this_holder
from aweigh.backends.engine.target.docker.reach import (
    EngineTraits,
    engine_traits,
    program_address,
    way_to,
)
from aweigh.backends.engine.target.docker.turn import turn
from aweigh.backends.engine.target.labels import Labels, container_name
from aweigh.backends.engine.target.stamp import parse_stamp
from aweigh.errors import EngineError, EngineUnavailableError, TargetError
from aweigh.events import Waited, Warned
from aweigh.flow.target import Task
from tests.backends.engine.doubles import (
    VERSION,
    Credentials,
    Heard,
    chunks,
    engine_double,
    read_request,
    response,
)
from tests.backends.engine.target.docker.support import Ground


def dead_holder() -> str:
    """Return a process of this machine that has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return f"{this_holder().rpartition(':')[0]}:{ended.pid}"


async def make(ground: Ground, name: str, labels: dict[str, str]) -> None:
    """Create a container that never runs."""
    document = {"Image": ground.image, "Cmd": ["true"], "Labels": labels}
    await ground.engine.send(
        "POST", "containers/create", params={"name": name}, document=document
    )


async def take_turn(ground: Ground, patience: float) -> None:
    """Take a turn and give it back."""
    async with turn(
        ground.engine,
        Labels(ground.namespace),
        "api",
        ground.image,
        listener=ground.heard,
        patience=patience,
    ):
        pass


async def test_the_turn_of_the_dead_is_taken_over(ground: Ground) -> None:
    """At once: nobody waits for a process that has ended."""
    labels = Labels(ground.namespace).of("lock", "api")
    name = f"{ground.namespace}-api-deploying"
    await make(ground, name, labels | {"aweigh.holder": dead_holder()})
    await asyncio.wait_for(take_turn(ground, patience=0.5), 10)
    assert await ground.containers() == []


async def test_a_turn_of_another_machine_is_waited_for(ground: Ground) -> None:
    """For a while; then the error names who has it, and the waiting was told."""
    labels = Labels(ground.namespace).of("lock", "api")
    name = f"{ground.namespace}-api-deploying"
    await make(ground, name, labels | {"aweigh.holder": "elsewhere:1"})
    with pytest.raises(TargetError, match="elsewhere:1"):
        await take_turn(ground, patience=5.5)
    assert [one.holder for one in ground.heard.of(Waited)] == ["elsewhere:1"]
    assert await ground.target.running() == ()
    # A service that is only being deployed can be removed.
    await ground.target.remove("api")


async def test_turns_are_taken_one_after_the_other(ground: Ground) -> None:
    """Of many at once, also within one process."""
    inside = 0

    async def one() -> None:
        nonlocal inside
        async with turn(
            ground.engine,
            Labels(ground.namespace),
            "api",
            ground.image,
            listener=ground.heard,
            patience=60,
        ):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.02)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(6)))


async def test_a_network_of_somebody_else_is_not_used(ground: Ground) -> None:
    """It has our name and not our labels; the hint says what to do."""
    made = await ground.engine.send(
        "POST", "networks/create", document={"Name": ground.namespace}
    )
    try:
        with pytest.raises(TargetError, match="not ours"):
            await ground.run("true")
    finally:
        await ground.engine.send("DELETE", f"networks/{made['Id']}")
    assert await ground.containers() == []


async def test_what_killed_builds_left_is_removed(ground: Ground) -> None:
    """Only of processes that are dead: others are still at work."""
    dead, alive = f"{ground.namespace}-dead", f"{ground.namespace}-alive"
    await make(ground, dead, {"aweigh.run": "1", "aweigh.holder": dead_holder()})
    await make(ground, alive, {"aweigh.run": "1", "aweigh.holder": this_holder()})
    try:
        await ground.target.remove_all()
        assert await ground.engine.fetch(f"containers/{dead}/json") is None
        assert await ground.engine.fetch(f"containers/{alive}/json") is not None
    finally:
        await remove_container(ground.engine, alive)


async def test_removing_what_is_gone_is_no_error(engine: Engine) -> None:
    """Somebody else was faster."""
    await remove_container(engine, "aweigh-nosuch-container")


@asynccontextmanager
async def hanging_engine(path: Path) -> AsyncIterator[str]:
    """Start an engine that says nothing more once it has started a container."""
    hangs = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await read_request(reader)
            if hangs.is_set() or "/attach" in line:
                if "/attach" in line:
                    writer.write(chunks())
                await reader.read()
            elif "/version" in line:
                writer.write(response(VERSION))
            elif "/networks" in line:
                writer.write(response(b'[{"Id": "n", "IPAM": {}}]'))
            else:
                writer.write(response(b"{}"))
            if "/start" in line:
                hangs.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()


async def test_an_engine_that_hangs_is_noticed_while_a_program_runs(
    tmp_path: Path,
) -> None:
    """A silent program is waited for; a silent engine is not."""
    deadlines = Deadlines(answer=0.2)
    async with (
        hanging_engine(tmp_path / "s") as host,
        open_engine(host, deadlines=deadlines) as engine,
    ):
        heard = Heard()
        target = DockerTarget(engine, credentials=Credentials(), listener=heard)
        task = Task(name="t", image="x", reference=None, command=("sleep", "9"))
        with pytest.raises(EngineUnavailableError, match="silent for"):
            await asyncio.wait_for(target.run(task, print), 10)
    [warned] = heard.of(Warned)
    assert "aweigh-t may be left" in warned.message


async def test_a_busy_file_system_is_tried_again(tmp_path: Path) -> None:
    """What the engine cannot remove now it can a moment later, or it is an error."""
    asked = 0

    async def reply(
        line: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal asked
        asked += 1
        fails = asked != 3 or "/left" in line
        status = "500 Internal Server Error" if fails else "200 OK"
        writer.write(response(b'{"message": "device or resource busy"}', status))

    async with engine_double(tmp_path / "s", reply) as host, open_engine(host) as e:
        await remove_container(e, "busy")
        assert asked == 3
        with pytest.raises(EngineError, match="busy"):
            await remove_container(e, "left")


async def test_a_network_that_is_used_stays(ground: Ground) -> None:
    """Somebody put a container of theirs on it: theirs is not ours to remove."""
    await ground.run("true")
    document = {
        "Image": ground.image,
        "Entrypoint": ["sleep", "60"],
        "HostConfig": {"NetworkMode": ground.namespace},
    }
    name = f"{ground.namespace}-theirs"
    await ground.engine.send(
        "POST", "containers/create", params={"name": name}, document=document
    )
    try:
        await ground.engine.send("POST", f"containers/{name}/start")
        assert await ground.target.remove_all() == []
        assert len(await ground.networks()) == 1
    finally:
        await remove_container(ground.engine, name)


@pytest.mark.parametrize("answer", [b"{}", b'[{"Id": "1"}]', b'[{"Labels": 1}]'])
async def test_a_list_nobody_can_read_is_an_error(
    tmp_path: Path, answer: bytes
) -> None:
    """And not taken for an empty one."""

    async def reply(
        line: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        unusable = b'[{"Id": "1"}]' if answer == b"{}" else answer
        writer.write(response(unusable if "/json" in line else b"[]"))

    async with engine_double(tmp_path / "s", reply) as host, open_engine(host) as e:
        target = DockerTarget(e, credentials=Credentials(), listener=Heard())
        with pytest.raises(EngineError, match="in a way we cannot read"):
            await target.running()


def test_holders_are_alive_until_known_to_be_dead() -> None:
    """Processes of other machines, and texts that are none, may live."""
    assert holder_is_dead(dead_holder())
    assert not holder_is_dead(this_holder())
    host = this_holder().rpartition(":")[0]
    for holder in ("elsewhere:1", "", ":", f"{host}:x", f"{host}:1", f"{host}:9" * 9):
        assert not holder_is_dead(holder)


@given(st.text(min_size=1))
def test_every_name_becomes_one_that_engines_take(name: str) -> None:
    """Whatever somebody calls a task."""
    made = container_name("aweigh", name)
    assert made.startswith("aweigh-")
    assert all(c.isascii() and (c.isalnum() or c in "_.-") for c in made)


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=20),
    st.data(),
)
def test_frames_cut_anywhere_make_the_same_lines(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    """Each stream's lines are those of its contents, however they arrive."""
    sent = b"".join(
        bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content
        for stream, content in frames
    )
    lines = LineDemultiplexer()
    got = []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        got += lines.feed(sent[:size])
        sent = sent[size:]
    got += lines.finish()
    for stream, name in ((1, "stdout"), (2, "stderr")):
        content = b"".join(content for number, content in frames if number == stream)
        wanted = content.decode(errors="replace").split("\n")
        wanted = wanted[:-1] if not wanted[-1] else wanted
        assert [line.text for line in got if line.stream == name] == wanted


TRAITS = EngineTraits(host="h", is_local=False, has_own_machine=False, has_init=True)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("tcp://127.0.0.1:2375", ("127.0.0.1", True)),
        ("tcp://localhost:2375", ("localhost", True)),
        ("tcp://build.example:2375", ("build.example", False)),
    ],
)
async def test_ports_are_published_where_the_engine_is(
    tmp_path: Path, host: str, wanted: tuple[str, bool]
) -> None:
    """On loopback only where that is this machine's."""

    async def reply(
        _line: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(response(b"{}"))

    async with engine_double(tmp_path / "s", reply) as near, open_engine(near) as e:
        e.host = host
        traits = await engine_traits(e)
    assert (traits.host, traits.is_local) == wanted
    assert traits.has_init is False
    assert way_to(80, traits).address == ("127.0.0.1" if wanted[1] else "")


def test_addresses_are_read_from_what_the_engine_tells() -> None:
    """A published port first; none of a container that does not run."""
    published = {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "32768"}]}}
    near = {"Ports": {"80/tcp": None}, "Networks": {"n": {"IPAddress": "172.17.0.2"}}}
    ended = {"Ports": {}, "Networks": {"n": {"IPAddress": ""}}}
    read = [
        program_address({"NetworkSettings": settings}, TRAITS, 80)
        for settings in (published, near, ended)
    ]
    assert read == [("h", 32768), ("172.17.0.2", 80), None]
    with pytest.raises(EngineError, match="cannot read"):
        program_address({}, TRAITS, 80)


def test_stamps_that_are_none_are_not_guessed() -> None:
    """A line without a time is still a line."""
    assert parse_stamp("") is None
    stamp = parse_stamp("2026-11-22T03:04:05.123456789Z")
    assert stamp is not None
    assert stamp.microsecond == 123456
