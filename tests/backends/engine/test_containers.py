"""One container, run to its end: output, exit code, and nothing left behind."""

import asyncio
import uuid
from pathlib import Path

import pytest

from aweigh.backends.engine import Deadlines, Engine, open_engine, run_container
from aweigh.errors import EngineError, EngineUnavailableError
from tests.backends.engine.doubles import (
    END,
    chunks,
    engine_double,
    eventually,
    response,
    running,
    unique_seconds,
)
from tests.services import Services


async def ours(engine: Engine, word: str) -> list[str]:
    """Return the names of containers that we made with a word in their command."""
    params = {"all": "1", "filters": '{"label": ["aweigh.run"]}'}
    found = await engine.send("GET", "containers/json", params=params)
    return [one["Names"][0] for one in found if word in one["Command"]]


async def test_output_and_exit_code_come_back(
    engine: Engine, services: Services, tmp_path: Path
) -> None:
    """Environment, directory, mounts and both outputs are there; then it is gone."""
    (tmp_path / "in").write_text("mounted")
    lines: list[str] = []
    word = uuid.uuid4().hex
    script = f": {word}; pwd; echo $WORD; cat /m/in; echo; echo error >&2; "
    script += "printf last; exit 3"
    code = await run_container(
        engine,
        services.base,
        ["sh", "-c", script],
        env={"WORD": "a=b c"},
        workdir="/tmp",
        binds=[f"{tmp_path}:/m:ro"],
        on_log=lines.append,
    )
    assert code == 3
    assert sorted(lines) == ["/tmp", "a=b c", "error", "last", "mounted"]
    assert await ours(engine, word) == []


async def test_output_may_go_nowhere(engine: Engine, services: Services) -> None:
    """Without a listener the exit code is all; an empty command is the image's own."""
    script = ["sh", "-c", "echo x; printf y"]
    assert await run_container(engine, services.base, script) == 0


async def test_much_output_is_whole(engine: Engine, services: Services) -> None:
    """Frames that are cut anywhere are put together again."""
    lines: list[str] = []
    script = "import sys\nfor i in range(50000): print(i)"
    code = await run_container(
        engine, services.base, ["python3", "-c", script], on_log=lines.append
    )
    assert code == 0
    assert lines == [str(number) for number in range(50_000)]


async def test_the_output_of_the_shortest_programs_is_whole(
    engine: Engine, services: Services
) -> None:
    """Many that end at once, side by side: none loses its line."""

    async def run(word: str) -> None:
        lines: list[str] = []
        code = await run_container(
            engine, services.base, ["echo", word], on_log=lines.append
        )
        assert (code, lines) == (0, [word])

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(run(str(number)))


async def test_an_engine_that_does_not_attach_is_left_in_time(tmp_path: Path) -> None:
    """A container nobody can listen to is not started."""
    asked: list[str] = []

    async def answer(
        line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        asked.append(line.split("?", maxsplit=1)[0].rpartition("/")[2].split()[0])
        if "/attach" in line:
            await reader.read()
        writer.write(response(b"{}"))

    deadlines = Deadlines(answer=0.2)
    async with (
        engine_double(tmp_path / "s", answer) as host,
        open_engine(host, deadlines=deadlines) as engine,
    ):
        with pytest.raises(EngineUnavailableError, match=r"silent for 0\.2 s"):
            await run_container(engine, "x", [])
    assert "start" not in asked


async def test_cancelling_stops_and_removes_it(
    engine: Engine, services: Services
) -> None:
    """Within a second the process and the container are gone."""
    seconds = unique_seconds()
    run = asyncio.create_task(run_container(engine, services.base, ["sleep", seconds]))
    await eventually(lambda: running(seconds) or run.done())
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not running(seconds)
    assert await ours(engine, seconds) == []


@pytest.mark.parametrize("rounds", range(8))
async def test_cancelled_at_any_moment_nothing_is_left(
    engine: Engine, services: Services, rounds: int
) -> None:
    """Also while the container is being created or started."""
    seconds = unique_seconds()
    run = asyncio.create_task(run_container(engine, services.base, ["sleep", seconds]))
    for _ in range(rounds * 3):
        await asyncio.sleep(0.001)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await ours(engine, seconds) == []


async def test_an_image_the_engine_lacks_is_an_error(engine: Engine) -> None:
    """The engine's own words name it."""
    with pytest.raises(EngineError, match="No such image") as caught:
        await run_container(engine, "nosuch-image-of-aweigh", ["true"])
    assert caught.value.status == 404


async def test_a_program_the_image_lacks_is_an_error(
    engine: Engine, services: Services
) -> None:
    """A container that cannot start is removed too."""
    program = f"nosuch-program-{uuid.uuid4().hex}"
    with pytest.raises(EngineError, match=program):
        await run_container(engine, services.base, [program])
    assert await ours(engine, program) == []


@pytest.mark.parametrize("state", [b"{}", b"[]", b""])
async def test_an_unknown_end_is_an_error(tmp_path: Path, state: bytes) -> None:
    """An engine that does not say how it ended is not taken for success."""

    async def answer(
        line: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        said = response(state if "/wait" in line else b"{}")
        writer.write(chunks() + END if "/attach" in line else said)

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        with pytest.raises(EngineError, match="did not say how"):
            await run_container(e, "x", [])
