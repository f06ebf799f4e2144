"""Tasks on the nodes of a swarm: exit codes, output, secrets, what is left."""

import asyncio
import sys
import uuid
from collections import Counter

import pytest

from aweigh.backends.engine import Engine, SwarmTarget, open_engine
from aweigh.errors import ImageGoneError, TargetError
from aweigh.events import Warned
from aweigh.flow.target import Mount, Resources, ServiceTarget
from tests.backends.engine.doubles import Credentials, Heard
from tests.backends.engine.target.support import until
from tests.backends.engine.target.swarm.support import STAY, Place, SwarmGround
from tests.services import Services


async def test_what_a_task_is_given_and_what_comes_back(swarm: SwarmGround) -> None:
    """Both streams, exit code, environment and secrets; then nothing is left."""
    assert isinstance(swarm.target, ServiceTarget)
    assert (swarm.target.name, swarm.target.pulls) == ("swarm", True)
    script = (
        "import os, sys; print(os.environ['WORD'], flush=True);"
        "print(open('/run/secrets/token').read(), file=sys.stderr, flush=True);"
        "print(os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_bsize);"
        "print('last', end=''); sys.exit(3)"
    )
    secret = uuid.uuid4().hex
    task = swarm.python(script, env={"WORD": "a=b c"}, secrets={"token": secret})
    assert await swarm.run(task) == 3
    assert swarm.texts("stdout") == ["a=b c", str(1 << 30), "last"]
    assert swarm.texts("stderr") == [secret]
    assert all(line.at is not None for line in swarm.lines)
    await until(swarm.is_clean)


async def test_much_output_is_whole_and_in_order(swarm: SwarmGround) -> None:
    """What the nodes did not bring in time is read afterwards, and nothing twice."""
    script = "for i in range(5_000): print(f'{i:030}')\nprint('x' * 100_000)"
    assert await swarm.run(swarm.python(script)) == 0
    wanted = [f"{number:030}" for number in range(5_000)]
    assert swarm.texts() == [*wanted, "x" * 100_000]


async def test_lines_come_while_the_program_runs(swarm: SwarmGround) -> None:
    """The first line is there before the program has ended."""
    seen = asyncio.Event()
    script = "import time; print('first', flush=True); time.sleep(60)"
    task = swarm.python(script)
    run = asyncio.create_task(swarm.target.run(task, lambda _line: seen.set()))
    async with asyncio.timeout(20):
        await seen.wait()
    assert not run.done()
    assert [one.name for one in await swarm.target.running()] == [task.name]
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await swarm.spread() == [0, 0]


async def test_both_nodes_run_tasks(swarm: SwarmGround) -> None:
    """Two that need more than half a node each are on different ones."""
    cpus = [
        int((await swarm.manager.send("GET", "info"))["NCPU"]) * 0.6 for _ in range(2)
    ]
    lines: list[list[str]] = [[], []]
    script = (
        "import time; print('here', flush=True); time.sleep(1); raise SystemExit(4)"
    )
    runs = [
        asyncio.create_task(
            swarm.target.run(
                swarm.python(script, resources=Resources(cpus=cpu)),
                lambda line, kept=kept: kept.append(line.text),  # type: ignore[misc]
            )
        )
        for cpu, kept in zip(cpus, lines, strict=True)
    ]
    await until(lambda: _is(swarm, [1, 1]))
    assert await asyncio.gather(*runs) == [4, 4]
    assert lines == [["here"], ["here"]]


async def _is(swarm: SwarmGround, wanted: list[int]) -> bool:
    return await swarm.spread() == wanted


@pytest.mark.parametrize("rounds", range(4))
async def test_cancelled_at_any_moment_nothing_is_left(
    swarm: SwarmGround, rounds: int
) -> None:
    """Also while secrets are made, or the service is."""
    task = swarm.python(STAY, secrets={"a": "1", "b": "2"})
    run = asyncio.create_task(swarm.run(task))
    await asyncio.sleep(0.05 * rounds**2)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await until(swarm.is_clean)


async def test_a_deleted_image_is_gone(swarm: SwarmGround, services: Services) -> None:
    """The error is the one that flows know, and names the node."""
    place = Place.open(services)
    image = await place.variant("deleted")
    await place.delete(image)
    with pytest.raises(ImageGoneError, match=r"on node aweigh-node-\d: No such image"):
        await swarm.run(swarm.python("", image=image))


async def test_a_missing_directory_is_told(swarm: SwarmGround) -> None:
    """A node that cannot start a task says why."""
    mount = Mount(source=f"/nosuch/{uuid.uuid4().hex}", target="/m")
    with pytest.raises(TargetError, match="bind source path does not exist") as caught:
        await swarm.run(swarm.python("", mounts=(mount,)))
    assert "make it on every node" in caught.value.hint


async def test_a_program_the_image_lacks(swarm: SwarmGround) -> None:
    """It ends as it would in a shell."""
    assert await swarm.run(swarm.task("nosuch-program")) == 127


async def test_a_task_that_fits_no_node_says_so_and_waits(swarm: SwarmGround) -> None:
    """The swarm's own words are in the warning; it may fit later, so it is no error."""
    task = swarm.python("", resources=Resources(cpus=10_000))
    run = asyncio.create_task(swarm.run(task))

    async def warned() -> bool:
        return any("insufficient" in one.message for one in swarm.heard.of(Warned))

    await until(warned)
    assert not run.done()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_a_removed_task_is_an_error(swarm: SwarmGround) -> None:
    """Who waits for it is told that somebody removed it."""
    run = asyncio.create_task(swarm.run(swarm.python(STAY)))
    await until(lambda: _some(swarm))
    assert await swarm.target.remove_all()
    with pytest.raises(TargetError, match=r"somebody removed|nobody knows"):
        await run


async def _some(swarm: SwarmGround) -> bool:
    return sum(await swarm.spread()) > 0


async def test_killed_for_its_memory(swarm: SwarmGround) -> None:
    """The exit code is the kernel's, and a warning says what it means."""
    script = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    task = swarm.python(script, resources=Resources(memory=32 << 20))
    assert await swarm.run(task) == 137
    assert any("memory" in one.message for one in swarm.heard.of(Warned))


@pytest.mark.parametrize(("name", "value"), [("a/b", "x"), ("empty", "")])
async def test_secrets_a_swarm_cannot_keep(
    swarm: SwarmGround, name: str, value: str
) -> None:
    """They are refused before anything runs, with the reason."""
    with pytest.raises(TargetError, match="secret"):
        await swarm.run(swarm.python("", secrets={name: value}))


async def test_an_image_in_no_registry_is_refused(swarm: SwarmGround) -> None:
    """The nodes could not get it."""
    with pytest.raises(TargetError, match="in no registry"):
        await swarm.run(swarm.python("", reference=None))


async def test_an_engine_that_is_no_manager(
    engine: Engine, services: Services, heard: Heard
) -> None:
    """The hint says what makes it one; a worker says the same."""
    async with open_engine(services.swarm_worker) as worker:
        for other in (engine, worker):
            target = SwarmTarget(other, credentials=Credentials(), listener=heard)
            with pytest.raises(TargetError) as caught:
                await target.running()
            assert "docker swarm init" in caught.value.hint


async def test_many_at_once_keep_their_own(swarm: SwarmGround) -> None:
    """Six side by side: each has its own exit code and lines."""
    counted: Counter[int] = Counter()

    async def one(number: int) -> None:
        lines: list[str] = []
        task = swarm.task("sh", "-c", f"echo {number}; exit {number}")
        code = await swarm.target.run(task, lambda line: lines.append(line.text))
        assert (code, lines) == (number, [str(number)])
        counted[code] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(one(number))
    assert counted == Counter(range(6))


CLIENT = """
import asyncio, sys
from aweigh.backends.engine import SwarmTarget, open_engine
from aweigh.flow.target import Task
from aweigh.oci import Reference

class Nobody:
    async def credential(self, registry, /):
        return None

async def main(host, namespace, image, script):
    async with open_engine(host) as engine:
        target = SwarmTarget(
            engine, credentials=Nobody(), listener=lambda _: None, namespace=namespace
        )
        reference = Reference.parse(image)
        command = ("python3", "-c", script)
        task = Task(name="left", image=image, reference=reference, command=command,
                    secrets={"key": "value"})
        await target.run(task, lambda line: print(line.text, flush=True))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_killed_client_leaves_is_found(
    swarm: SwarmGround, services: Services
) -> None:
    """The task runs on and is listed; removing all of ours ends it, secrets too."""
    arguments = (services.swarm, swarm.namespace, str(swarm.image), STAY)
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert client.stdout is not None
    async with asyncio.timeout(30):
        assert await client.stdout.readline() == b"up\n"
    client.kill()
    await client.wait()

    async def is_running() -> bool:
        # Its node hands on what it writes sooner than that it runs.
        (left,) = await swarm.target.running()
        return (left.name, left.kind, left.state) == ("left", "run", "running")

    await until(is_running)
    assert await swarm.secrets() == ["key"]
    assert await swarm.target.remove_all() == ["left"]
    await until(swarm.is_clean)
