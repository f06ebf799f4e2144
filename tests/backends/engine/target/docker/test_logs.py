"""What services wrote: whole, once, by time, and followed into new versions."""

import asyncio
import datetime as dt
from contextlib import aclosing

import pytest

from aweigh.errors import TargetError
from aweigh.flow.target import Deployment, LogLine
from tests.backends.engine.target.docker.support import Ground
from tests.backends.engine.target.support import until


async def read(ground: Ground, name: str) -> list[LogLine]:
    """Return all lines there are now."""
    async with aclosing(ground.target.logs(name)) as lines:
        return [line async for line in lines]


async def test_lines_have_time_and_stream(ground: Ground) -> None:
    """A long line stays one, though the engine keeps it in pieces."""
    script = "echo a; echo ü >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; sleep 60"
    await ground.target.deploy(
        Deployment(name="talk", task=ground.task("sh", "-c", script))
    )
    lines = await read(ground, "talk")
    written = {(line.text, line.stream) for line in lines}
    assert written == {("a", "stdout"), ("ü", "stderr"), ("x" * 40000, "stdout")}
    assert all(line.at is not None and line.at.tzinfo is dt.UTC for line in lines)
    assert {line.source for line in lines} == {""}


async def test_lines_of_replicas_come_by_time_and_say_whose(ground: Ground) -> None:
    """Each replica is named by its container."""
    script = "for i in 1 2 3; do echo $i; sleep 0.2; done; sleep 60"
    service = await ground.target.deploy(
        Deployment(name="talk", task=ground.task("sh", "-c", script), replicas=2)
    )
    async with aclosing(service.logs()) as log:
        lines = [line async for line in log]
    names = {one["Names"][0].removeprefix("/") for one in await ground.containers()}
    assert {line.source for line in lines} == names
    assert len(lines) == 6
    times = [line.at for line in lines if line.at is not None]
    assert times == sorted(times)


@pytest.mark.parametrize("replicas", [1, 2])
async def test_followed_lines_are_whole_and_once(ground: Ground, replicas: int) -> None:
    """Also the last of a program that writes much and is stopped at once."""
    script = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    for i in range(5000): print('end', i)\n"
        "    sys.stdout.flush(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "for i in range(5): print(i, flush=True)\n"
        "time.sleep(60)"
    )
    await ground.target.deploy(
        Deployment(name="talk", task=ground.python(script), replicas=replicas)
    )
    lines: list[LogLine] = []

    async def follow() -> None:
        async with aclosing(ground.target.logs("talk", follow=True)) as log:
            async for line in log:
                lines.append(line)  # noqa: PERF401 - seen while it grows

    following = asyncio.create_task(follow())

    async def is_heard() -> bool:
        return len(lines) >= 5 * replicas

    await until(is_heard)
    # Stopped and not removed: its log can still be read to the end.
    for one in await ground.containers():
        await ground.engine.send("POST", f"containers/{one['Id']}/stop")
    await asyncio.wait_for(following, 60)
    wanted = [str(i) for i in range(5)] + [f"end {i}" for i in range(5000)]
    for source in {line.source for line in lines}:
        texts = [line.text for line in lines if line.source == source]
        assert texts == wanted


async def test_a_new_version_is_followed(ground: Ground) -> None:
    """Who follows a service hears its next version too, and can stop at any time."""
    await ground.target.deploy(ground.service("one"))
    lines: list[str] = []

    async def follow() -> None:
        async with aclosing(ground.target.logs("api", follow=True)) as log:
            async for line in log:
                lines.append(line.text)  # noqa: PERF401 - seen while it grows

    async def is_followed() -> bool:
        return lines == ["serving one", "serving two"]

    following = asyncio.create_task(follow())
    await ground.target.deploy(ground.service("two"))
    await until(is_followed)
    following.cancel()
    await asyncio.wait({following})
    assert following.cancelled()


async def test_a_restarted_program_is_followed(ground: Ground) -> None:
    """The engine restarts what dies; nothing is shown twice."""
    script = "echo up; sleep 3; exit 1"
    await ground.target.deploy(
        Deployment(name="dies", task=ground.task("sh", "-c", script))
    )
    lines: list[str] = []
    async with (
        asyncio.timeout(30),
        aclosing(ground.target.logs("dies", follow=True)) as log,
    ):
        async for line in log:
            lines.append(line.text)
            if len(lines) == 3:
                break
    assert lines == ["up"] * 3
    times = len(await read(ground, "dies"))
    assert times >= 3


async def test_nothing_of_that_name_is_an_error(ground: Ground) -> None:
    """The hint says how to see what there is."""
    with pytest.raises(TargetError, match="nothing of ours") as caught:
        await read(ground, "nosuch")
    assert "aweigh ps" in caught.value.hint
