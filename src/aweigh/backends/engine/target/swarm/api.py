"""What a manager tells about its swarm: services, tasks and nodes as values."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aweigh.backends.engine.target.labels import (
    CONFIG_LABEL,
    KIND_LABEL,
    NAME_LABEL,
)
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels

__all__ = [
    "Found",
    "Manager",
    "SwarmTask",
    "find_services",
    "inspect_service",
    "inspect_task",
    "manager_of",
    "node_address",
    "node_names",
    "ready_nodes",
    "tasks_of",
]

_ENDED = frozenset({"complete", "failed", "rejected", "shutdown", "orphaned", "remove"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """The engine that was asked, a manager.

    Attributes:
        has_init: Whether it can give containers an init.
        gpu_kind: What the nodes call their GPUs.
    """

    has_init: bool
    gpu_kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A service of ours.

    Attributes:
        id: The swarm's name of exactly this service.
        name: The task or deployment that it is.
        kind: The flow that made it.
        version: Changes with each update: what an update has to name.
        image: What it runs.
        config: What it runs and how, in a digest.
        replicas: How many there are to be.
        secrets: The ids of its secrets.
        update: The state of its last update; empty without one.
        update_message: What the swarm says about it.
        ports: Published ports with their mode, in the order they were given.
        created: When it was made.
        spec: The whole, as an update has to send it back.
    """

    id: str
    name: str
    kind: str
    version: int
    image: str
    config: str
    replicas: int
    secrets: tuple[str, ...]
    update: str
    update_message: str
    ports: tuple[tuple[int, str], ...]
    created: dt.datetime
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmTask:
    """One replica of a service, running or not.

    Attributes:
        id: The swarm's name of it.
        slot: Its number among the replicas.
        node: The id of its node; empty until it has one.
        state: ``pending``, ``running``, ``complete``, ``failed``, ``rejected``...
        wanted: The state that the swarm brings it to.
        said: What went wrong; empty when nothing did.
        exit_code: Its program's; None until it ended, or when it never began.
        config: The service's configuration that it runs.
        since: When it came into this state.
    """

    id: str
    slot: int
    node: str
    state: str
    wanted: str
    said: str
    exit_code: int | None
    config: str
    since: dt.datetime

    @property
    def has_ended(self) -> bool:
        """Whether its program will not write or do anything more."""
        return self.state in _ENDED


async def manager_of(engine: Engine) -> Manager:
    """Ask an engine whether it is a manager, and of what.

    Raises:
        EngineError: It is none, or it is missing.
    """
    version = await engine.send("GET", "version")
    nodes = await engine.send("GET", "nodes")
    with _readable(engine):
        parts = version.get("Components") or ()
        return Manager(
            has_init=any(
                part.get("Name") == "docker-init"
                and part.get("Version") not in {"", "N/A", None}
                for part in parts
            ),
            gpu_kind=_gpu_kind(nodes),
        )


async def find_services(
    engine: Engine, labels: Labels, name: str | None = None
) -> tuple[Found, ...]:
    """List services of a namespace by name; all, or those of one name.

    Raises:
        EngineError: The engine is missing, no manager, or not one we can read.
    """
    listed = await engine.send("GET", "services", params=labels.filters(name))
    with _readable(engine):
        found = [_service(one) for one in listed]
    return tuple(sorted(found, key=lambda one: (one.name, one.created)))


async def inspect_service(engine: Engine, service: str) -> Found | None:
    """Return a service by its id; None when it was removed."""
    one = await engine.fetch(f"services/{service}")
    with _readable(engine):
        return None if one is None else _service(one)


async def tasks_of(engine: Engine, service: str) -> tuple[SwarmTask, ...]:
    """Return the tasks of a service, oldest state first; none when it was removed.

    Raises:
        EngineError: The engine is missing, no manager, or not one we can read.
    """
    params = {"filters": json.dumps({"service": [service]})}
    listed = await engine.fetch("tasks", params=params)
    with _readable(engine):
        tasks = [_task(one) for one in listed or ()]
    return tuple(sorted(tasks, key=lambda one: (one.since, one.slot)))


async def inspect_task(engine: Engine, task: str) -> SwarmTask | None:
    """Return a task by its id; None when the swarm has forgotten it."""
    one = await engine.fetch(f"tasks/{task}")
    with _readable(engine):
        return None if one is None else _task(one)


async def node_names(engine: Engine) -> dict[str, str]:
    """Return the host names of the swarm's nodes, by id."""
    nodes = await engine.send("GET", "nodes")
    with _readable(engine):
        return {str(node["ID"]): str(node["Description"]["Hostname"]) for node in nodes}


async def ready_nodes(engine: Engine) -> frozenset[str]:
    """Return the ids of the nodes that answer their managers."""
    nodes = await engine.send("GET", "nodes")
    with _readable(engine):
        return frozenset(
            str(node["ID"]) for node in nodes if node["Status"]["State"] == "ready"
        )


async def node_address(engine: Engine, node: str | None = None) -> str:
    """Return where a node is reached; without one, any manager that is.

    Raises:
        EngineError: The engine is missing, no manager, or not one we can read.
    """
    nodes = await engine.send("GET", "nodes")
    with _readable(engine):
        for one in nodes:
            manager = one.get("ManagerStatus") or {}
            if one["ID"] == node or (node is None and manager.get("Leader")):
                # A manager can give its own address as 0.0.0.0 (moby issue 35437).
                host = str(manager.get("Addr") or "").rpartition(":")[0]
                return host.strip("[]") or str(one["Status"]["Addr"])
    return ""


@contextmanager
def _readable(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise EngineError(
            f"the engine at {engine.host} describes its swarm in a way we cannot read",
            hint="update the engine, or aweigh",
        ) from exc


def _gpu_kind(nodes: list[Mapping[str, Any]]) -> str:
    """Return the nodes' own name for GPUs: who set up the engines chose it."""
    for node in nodes:
        offered = node["Description"]["Resources"].get("GenericResources") or ()
        for resource in offered:
            for kind in resource.values():
                if "gpu" in str(kind["Kind"]).lower():
                    return str(kind["Kind"])
    return "gpu"


def _service(one: Mapping[str, Any]) -> Found:
    spec = one["Spec"]
    container = spec["TaskTemplate"]["ContainerSpec"]
    update = one.get("UpdateStatus") or {}
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    return Found(
        id=str(one["ID"]),
        name=str(spec["Labels"][NAME_LABEL]),
        kind=str(spec["Labels"][KIND_LABEL]),
        version=int(one["Version"]["Index"]),
        image=str(container["Image"]),
        config=str(spec["Labels"].get(CONFIG_LABEL, "")),
        replicas=int(spec["Mode"].get("Replicated", {}).get("Replicas", 1)),
        secrets=tuple(
            str(secret["SecretID"]) for secret in container.get("Secrets") or ()
        ),
        update=str(update.get("State") or ""),
        update_message=str(update.get("Message") or ""),
        ports=tuple(
            (int(port["PublishedPort"]), str(port["PublishMode"])) for port in ports
        ),
        created=_moment(one["CreatedAt"]),
        spec=spec,
    )


def _task(one: Mapping[str, Any]) -> SwarmTask:
    status = one["Status"]
    container = status.get("ContainerStatus") or {}
    labels = one["Spec"]["ContainerSpec"].get("Labels") or {}
    code = container.get("ExitCode")
    return SwarmTask(
        id=str(one["ID"]),
        slot=int(one.get("Slot") or 0),
        node=str(one.get("NodeID") or ""),
        state=str(status["State"]),
        wanted=str(one["DesiredState"]),
        said=str(status.get("Err") or ""),
        exit_code=None if code is None else int(code),
        config=str(labels.get(CONFIG_LABEL, "")),
        since=_moment(status["Timestamp"]),
    )


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
