"""Managers that answer what this machine's swarm does not: doubles of an engine."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aweigh.backends.engine import Engine, SwarmTarget, open_engine
from aweigh.backends.engine.target.labels import Labels
from aweigh.backends.engine.target.swarm.api import (
    manager_of,
    node_address,
    node_names,
)
from aweigh.backends.engine.target.swarm.network import (
    ensure_overlay,
    has_ingress,
    remove_overlay,
)
from aweigh.backends.engine.target.swarm.requests import roll_back
from aweigh.errors import EngineError, TargetError
from tests.backends.engine.doubles import Credentials, Heard, engine_double, response

Opened = Callable[[dict[str, Any]], AbstractAsyncContextManager[Engine]]
SERVICE = {
    "ID": "s1",
    "Version": {"Index": 7},
    "CreatedAt": "2026-01-02T03:04:05.123456789Z",
    "Spec": {
        "Labels": {"aweigh.name": "api", "aweigh.kind": "deploy"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "r/i@sha256:0"},
            "Networks": [{"Target": "n1"}],
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {"Ports": [{"PublishedPort": 80, "PublishMode": "ingress"}]},
    },
}
LEADER = {
    "ID": "a",
    "Status": {"State": "ready", "Addr": "0.0.0.0"},  # noqa: S104 - as moby says it
    "ManagerStatus": {"Leader": True, "Addr": "[fd00::5]:2377"},
    "Description": {"Hostname": "a", "Resources": {}},
}
WORKER = {
    "ID": "b",
    "Status": {"State": "ready", "Addr": "10.0.0.6"},
    "Description": {
        "Hostname": "b",
        "Resources": {
            "GenericResources": [
                {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 1}},
                {"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-1"}},
            ]
        },
    },
}


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Return a function that opens an engine with fixed answers by method and path."""

    @asynccontextmanager
    async def opening(answers: dict[str, Any]) -> AsyncIterator[Engine]:
        async def answer(
            line: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            method, path, _protocol = line.split()
            key = f"{method} {path.split('?')[0].split('/', 2)[2]}"
            said = answers.get(key, (404, {"message": "no such thing"}))
            if isinstance(said, list) and said and isinstance(said[0], tuple):
                said = said.pop(0) if len(said) > 1 else said[0]
            status, body = said if isinstance(said, tuple) else (200, said)
            writer.write(response(json.dumps(body).encode(), f"{status} X"))

        async with (
            engine_double(tmp_path / "s", answer) as host,
            open_engine(host) as engine,
        ):
            yield engine

    return opening


async def test_what_a_manager_tells(opened: Opened) -> None:
    """GPUs have the name that a node gives them; addresses may be IPv6."""
    async with opened({"GET nodes": [LEADER, WORKER]}) as engine:
        manager = await manager_of(engine)
        assert (manager.gpu_kind, manager.has_init) == ("NVIDIA-GPU", False)
        assert await node_address(engine) == "fd00::5"
        assert await node_address(engine, "b") == "10.0.0.6"
        assert await node_address(engine, "nobody") == ""
    async with opened({"GET nodes": [LEADER]}) as engine:
        assert (await manager_of(engine)).gpu_kind == "gpu"


async def test_a_service_that_ingress_publishes(opened: Opened, heard: Heard) -> None:
    """Every node answers, so the URL is the leader's; states are in one word."""
    task = {
        "ID": "t1",
        "NodeID": "b",
        "Spec": {"ContainerSpec": {}},
        "Status": {"State": "preparing", "Timestamp": "2026-01-02T03:04:05Z"},
        "DesiredState": "running",
    }
    answers: dict[str, Any] = {
        "GET nodes": [LEADER, WORKER],
        "GET services": [SERVICE],
        "GET tasks": [task],
    }
    async with opened(answers) as engine:
        target = SwarmTarget(engine, credentials=Credentials(), listener=heard)
        (listed,) = await target.running()
        assert (listed.url, listed.state) == ("http://[fd00::5]:80", "preparing")
        assert listed.replicas == (0, 2)
        answers["GET tasks"] = []
        (listed,) = await target.running()
        assert listed.state == "starting"
        answers["GET services"] = [SERVICE | {"UpdateStatus": {"State": "updating"}}]
        (listed,) = await target.running()
        assert listed.state == "updating"


@pytest.mark.parametrize("junk", [{"a": 1}, [{}], [{"ID": 1}], "x"])
async def test_answers_that_cannot_be_read(
    opened: Opened, heard: Heard, junk: object
) -> None:
    """They are an error that says so, not a crash."""
    async with opened({"GET services": junk, "GET nodes": junk}) as engine:
        target = SwarmTarget(engine, credentials=Credentials(), listener=heard)
        with pytest.raises(TargetError, match="cannot read"):
            await target.running()
        with pytest.raises(EngineError, match="cannot read"):
            await node_names(engine)


async def test_a_network_made_twice_is_one(opened: Opened) -> None:
    """Who comes second takes the first one's; another refusal is told."""
    network = {"Id": "n1", "Scope": "swarm", "Created": "2026", "Ingress": True}
    answers: dict[str, Any] = {
        "GET networks": [(200, []), (200, [network])],
        "POST networks/create": (409, {"message": "network ns already exists"}),
    }
    async with opened(answers) as engine:
        assert await ensure_overlay(engine, Labels("ns")) == "n1"
        assert await has_ingress(engine)
        answers["GET networks"] = []
        with pytest.raises(EngineError, match="already exists"):
            await ensure_overlay(engine, Labels("ns"))


@pytest.mark.parametrize(
    ("refusal", "services"),
    [
        ((403, {"message": "has active endpoints"}), [SERVICE]),
        ([(500, {"message": "in use by task"}), (200, {})], []),
        ((404, {"message": "gone"}), []),
    ],
)
async def test_a_network_in_use_stays(
    opened: Opened, refusal: object, services: list[object]
) -> None:
    """Others are on it; where only ended tasks are, it is tried again."""
    network = {"Id": "n1", "Scope": "swarm", "Created": "2026"}
    answers: dict[str, Any] = {
        "GET networks": [network],
        "GET services": services,
        "DELETE networks/n1": refusal,
    }
    async with opened(answers) as engine:
        await remove_overlay(engine, Labels("ns"))
        answers["DELETE networks/n1"] = (500, {"message": "broken"})
        with pytest.raises(EngineError, match="broken"):
            await remove_overlay(engine, Labels("ns"))


async def test_going_back_while_others_change_it(opened: Opened) -> None:
    """The version is asked for anew; that the service is gone is the end of it."""
    late = (500, {"message": "rpc error: update out of sequence"})
    answers: dict[str, Any] = {
        "GET services/s1": SERVICE,
        "POST services/s1/update": [late, late, (200, {})],
    }
    async with opened(answers) as engine:
        await roll_back(engine, "s1")
        assert answers["POST services/s1/update"] == [(200, {})]
        await roll_back(engine, "gone")
        answers["POST services/s1/update"] = (400, {"message": "no previous spec"})
        with pytest.raises(EngineError, match="no previous spec"):
            await roll_back(engine, "s1")


async def test_a_service_that_others_change_all_the_time(
    opened: Opened, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaling ends some time, with an error."""
    monkeypatch.setattr(
        "aweigh.backends.engine.target.swarm.rollout._RETRY_SECONDS", 0.001
    )
    late = (500, {"message": "rpc error: update out of sequence"})
    answers = {"GET services": [SERVICE], "POST services/s1/update": late}
    async with opened(answers) as engine:
        target = SwarmTarget(engine, credentials=Credentials(), listener=heard)
        with pytest.raises(TargetError, match="is being changed all the time"):
            await target.scale("api", 3)
