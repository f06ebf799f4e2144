"""A node that dies while a service runs, and comes back."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from aweigh.errors import TargetError
from aweigh.flow.target import Resources
from tests.backends.engine.target.support import until
from tests.backends.engine.target.swarm.support import STAY, SwarmGround
from tests.services import Services

SETUP = Path(__file__).parents[5] / ".ci" / "setup"


async def test_replicas_of_a_dead_node_move(
    swarm: SwarmGround, services: Services
) -> None:
    """They run on the other one, tasks that were there are lost, and it comes back."""
    await swarm.target.deploy(swarm.service(STAY))
    assert await swarm.spread() == [1, 1]
    nodes = await swarm.manager.send("GET", "nodes")
    worker = next(node["ID"] for node in nodes if "ManagerStatus" not in node)
    cpus = int((await swarm.manager.send("GET", "info"))["NCPU"])
    half = Resources(cpus=cpus * 0.6)
    tasks = {
        asyncio.create_task(swarm.run(swarm.python(STAY, resources=half)))
        for _ in range(2)
    }
    await until(lambda: _each_has(swarm, 2))
    pid = int(services.swarm_worker_pid.read_text(encoding="ascii").split()[0])
    os.kill(pid, signal.SIGKILL)
    try:
        await until(lambda: _both_on_the_manager(swarm, worker))
        assert await swarm.ready_nodes() == 1
        listed = {one.name: one for one in await swarm.target.running()}
        assert listed["api"].replicas == (2, 2)
        (lost,), kept = await asyncio.wait(
            tasks, timeout=30, return_when=asyncio.FIRST_COMPLETED
        )
        with pytest.raises(TargetError, match="node aweigh-node-2 is down"):
            await lost
        for task in kept:
            task.cancel()
        await asyncio.wait(kept)
    finally:
        setup = await asyncio.create_subprocess_exec(
            SETUP, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, said = await setup.communicate()
    assert setup.returncode == 0, said.decode()
    assert await swarm.ready_nodes() == 2
    await swarm.target.scale("api", 4)
    assert sum(await swarm.spread()) >= 4
    assert all(await swarm.spread())


async def _each_has(swarm: SwarmGround, count: int) -> bool:
    return await swarm.spread() == [count, count]


async def _both_on_the_manager(swarm: SwarmGround, worker: str) -> bool:
    tasks = await swarm.manager.send("GET", "tasks")
    mine = [
        task
        for task in tasks
        if task["Spec"]["ContainerSpec"].get("Labels", {}).get("aweigh.namespace")
        == swarm.namespace
        and task["Spec"]["ContainerSpec"]["Labels"]["aweigh.kind"] == "deploy"
        and task["DesiredState"] == task["Status"]["State"] == "running"
    ]
    return len(mine) == 2 and all(task["NodeID"] != worker for task in mine)
