"""Services on one engine: started, updated in place, kept when an update fails."""

import asyncio
import dataclasses
import datetime as dt
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aweigh.backends.engine import DockerTarget
from aweigh.errors import DeployError, TargetError
from aweigh.flow.target import Deployment, Service, ServiceTarget
from tests.backends.engine.doubles import Credentials, Heard
from tests.backends.engine.target.docker.support import Ground
from tests.backends.engine.target.support import get, until
from tests.services import Services


def free_port() -> int:
    """Return a port nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def names(ground: Ground) -> list[str]:
    """Return the containers of the namespace that run."""
    found = await ground.containers()
    return sorted(one["Names"][0] for one in found if one["State"] == "running")


async def test_a_service_answers_and_can_be_removed(ground: Ground) -> None:
    """It is listed with its address, and restarted by the engine when it dies."""
    assert isinstance(ground.target, ServiceTarget)
    port = free_port()
    service: Service = await ground.target.deploy(
        ground.service("one", ports={port: 8000}, health_path="/")
    )
    assert (service.name, service.replicas) == ("api", 1)
    assert service.image == ground.image
    assert service.url == f"http://127.0.0.1:{port}"
    assert await get(service.url) == "one"
    [listed] = await ground.target.running()
    assert (listed.name, listed.kind, listed.state) == ("api", "deploy", "running")
    assert (listed.replicas, listed.url) == ((1, 1), service.url)
    age = dt.datetime.now(dt.UTC) - listed.since
    assert dt.timedelta(seconds=-2) < age < dt.timedelta(minutes=5)
    [container] = await ground.containers()
    inspected = await ground.engine.fetch(f"containers/{container['Id']}/json")
    assert inspected is not None
    policy = inspected["HostConfig"]["RestartPolicy"]["Name"]
    assert policy == "unless-stopped"
    await service.remove()
    assert await ground.containers() == []
    with pytest.raises(TargetError, match="nothing of ours named 'api'"):
        await service.remove()


async def test_the_same_again_restarts_nothing(ground: Ground) -> None:
    """Neither image nor configuration changed: the containers are the same."""
    wanted = ground.service("one")
    await ground.target.deploy(wanted)
    before = await names(ground)
    await ground.target.deploy(wanted)
    assert await names(ground) == before
    changed = dataclasses.replace(wanted.task, env={"X": "1"})
    await ground.target.deploy(dataclasses.replace(wanted, task=changed))
    assert await names(ground) != before


async def test_a_changed_secret_is_a_change(ground: Ground) -> None:
    """The values are compared, and no label or variable has anything of them."""
    first = ground.service("one")
    task = dataclasses.replace(first.task, secrets={"KEY": "sesame"})
    wanted = dataclasses.replace(first, task=task)
    await ground.target.deploy(wanted)
    before = await names(ground)
    await ground.target.deploy(wanted)
    assert await names(ground) == before
    other = dataclasses.replace(task, secrets={"KEY": "frobnicate"})
    await ground.target.deploy(dataclasses.replace(wanted, task=other))
    assert await names(ground) != before
    [container] = await ground.containers()
    inspected = await ground.engine.fetch(f"containers/{container['Id']}/json")
    assert "sesame" not in str(inspected)
    assert "frobnicate" not in str(inspected)


async def test_an_update_takes_over_the_port(ground: Ground) -> None:
    """The old version is stopped first, and gone when the new one answers."""
    ports = {free_port(): 8000}
    await ground.target.deploy(ground.service("one", ports=ports, health_path="/"))
    service = await ground.target.deploy(
        ground.service("two", ports=ports, health_path="/")
    )
    assert service.url is not None
    assert await get(service.url) == "two"
    assert len(await ground.containers()) == 1


@pytest.mark.parametrize("port", ["fixed", "any"])
async def test_an_update_that_fails_keeps_the_old_answering(
    ground: Ground, port: str
) -> None:
    """The error has its last lines and the reason; what was there answers."""
    ports = {free_port() if port == "fixed" else 0: 8000}
    old = await ground.target.deploy(
        ground.service("one", ports=ports, health_path="/ok")
    )
    assert old.url is not None
    target = DockerTarget(
        ground.engine,
        credentials=Credentials(),
        listener=Heard(),
        namespace=ground.namespace,
        well_within=2.0,
    )
    bad = ground.service("two", status=500, ports=ports, health_path="/ok")
    with pytest.raises(DeployError, match="answers 500") as caught:
        await target.deploy(bad)
    assert caught.value.log == ("serving two",)
    assert "is kept" in str(caught.value)
    await until(lambda: _answers(str(old.url), "one"))
    assert len(await ground.containers()) == 1


async def _answers(url: str, text: str) -> bool:
    return await get(url) == text


async def test_beside_the_old_no_request_fails(ground: Ground) -> None:
    """A failing update on a port of its own is not noticed by those who ask."""
    ports = {0: 8000}
    old = await ground.target.deploy(
        ground.service("one", ports=ports, health_path="/")
    )
    answers: set[str] = set()
    done = asyncio.Event()

    async def ask() -> None:
        while not done.is_set():
            answers.add(await get(str(old.url)))

    asking = asyncio.create_task(ask())
    bad = Deployment(
        name="api", task=ground.task("false"), ports=ports, health_path="/"
    )
    with pytest.raises(DeployError, match="exit code 1"):
        await ground.target.deploy(bad)
    done.set()
    await asking
    assert answers == {"one"}


async def test_a_first_deploy_that_fails_leaves_nothing(ground: Ground) -> None:
    """What ends within 2 s is not well; its lines are in the error."""
    task = ground.task("sh", "-c", "echo why >&2; exit 7")
    with pytest.raises(DeployError, match="exit code 7") as caught:
        await ground.target.deploy(Deployment(name="bad", task=task))
    assert caught.value.log == ("why",)
    assert "removed" in str(caught.value)
    assert await ground.containers() == []


async def test_replicas_come_and_go(ground: Ground) -> None:
    """Those that are right stay when the number changes."""
    one = await ground.target.deploy(ground.service("one"))
    assert one.url is None
    [first] = await names(ground)
    await ground.target.deploy(ground.service("one", replicas=3))
    grown = await names(ground)
    assert len(grown) == 3
    assert first in grown
    [listed] = await ground.target.running()
    assert listed.replicas == (3, 3)
    await ground.target.deploy(ground.service("one", replicas=1))
    assert await names(ground) == [first]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"replicas": 2, "ports": {8000: 8000}}, "swarm"),
        ({"replicas": 0}, "aweigh stop"),
        ({"health_path": "/"}, "publish"),
    ],
)
async def test_what_one_engine_cannot_do_is_refused(
    ground: Ground, more: dict[str, Any], word: str
) -> None:
    """Before anything is started, with what to do instead."""
    with pytest.raises(TargetError, match="cannot be deployed") as caught:
        await ground.target.deploy(ground.service("one", **more))
    assert word in caught.value.hint
    assert await ground.containers() == []


async def test_a_port_of_somebody_else_is_an_error(ground: Ground) -> None:
    """The hint says that it is taken; nothing is left."""
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - as the engine
        port = taken.getsockname()[1]
        with pytest.raises(TargetError) as caught:
            await ground.target.deploy(ground.service("one", ports={port: 8000}))
    assert "has that port" in caught.value.hint
    assert await ground.containers() == []


@pytest.mark.parametrize("moment", [0.05, 0.3, 0.6, 1.0, 1.5, 2.5])
async def test_cancelled_at_any_moment_one_version_answers(
    ground: Ground, moment: float
) -> None:
    """The old one or the new one, and never both."""
    ports = {free_port(): 8000}
    old = await ground.target.deploy(
        ground.service("one", ports=ports, health_path="/")
    )
    update = asyncio.create_task(
        ground.target.deploy(ground.service("two", ports=ports, health_path="/"))
    )
    await asyncio.sleep(moment)
    update.cancel()
    await asyncio.wait({update})
    await until(lambda: _answers_any(str(old.url)))
    assert len(await ground.containers()) == 1


async def _answers_any(url: str) -> bool:
    return await get(url) in {"one", "two"}


PROCESS = """
import asyncio, sys
from aweigh.backends.engine import DockerTarget, open_engine
from aweigh.flow.target import Deployment, Task
from tests.backends.engine.doubles import Credentials, Heard

async def main(host, namespace, image, command):
    async with open_engine(host) as engine:
        target = DockerTarget(
            engine, credentials=Credentials(), listener=Heard(), namespace=namespace
        )
        task = Task(name="t", image=image, reference=None, command=tuple(command))
        if command[0] == "run":
            task = Task(name="t", image=image, reference=None, command=("sleep", "600"))
            await target.run(task, print)
        else:
            service = await target.deploy(Deployment(name="api", task=task))
            print(service.image, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
"""


def start_process(ground: Ground, host: str, *command: str) -> "subprocess.Popen[str]":
    """Start another process that uses the same namespace."""
    arguments = [sys.executable, "-c", PROCESS, host, ground.namespace, ground.image]
    return subprocess.Popen(
        [*arguments, *command], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )


async def test_two_processes_deploy_it_once(ground: Ground, services: Services) -> None:
    """Both are told that it runs; there is one container and one network."""
    processes = [
        start_process(ground, services.engine, "sleep", "600") for _ in range(2)
    ]
    ends = [await asyncio.to_thread(one.wait, 60) for one in processes]
    for one in processes:
        one.stdout.close()  # type: ignore[union-attr]
    assert ends == [0, 0]
    assert len(await names(ground)) == 1
    assert len(await ground.containers()) == 1
    assert len(await ground.networks()) == 1


async def test_what_a_killed_process_left_is_found_and_removed(
    ground: Ground, services: Services
) -> None:
    """A run by its name; the network goes with the last container."""
    process = start_process(ground, services.engine, "run")
    await until(lambda: names(ground))
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait, 30)
    process.stdout.close()  # type: ignore[union-attr]
    [left] = await ground.target.running()
    assert (left.name, left.kind) == ("t", "run")
    assert await ground.target.remove_all() == ["t"]
    assert await ground.containers() == []
    assert await ground.networks() == []
    assert await ground.target.remove_all() == []


async def test_a_deploy_whose_process_was_killed_is_taken_over(
    ground: Ground, services: Services
) -> None:
    """Its turn and what it had started go, at once."""
    process = start_process(ground, services.engine, "sleep", "600")
    await until(lambda: names(ground))
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait, 30)
    process.stdout.close()  # type: ignore[union-attr]
    assert len(await ground.containers()) == 2
    [listed] = await ground.target.running()
    assert listed.state == "updating"
    service = await ground.target.deploy(ground.service("one"))
    assert service.replicas == 1
    assert len(await ground.containers()) == 1
