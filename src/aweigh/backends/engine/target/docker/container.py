"""The document that an engine creates a task's container from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aweigh.backends.engine.target.mount import mount_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.flow.target import Resources, Task

__all__ = ["PublishedPort", "Surroundings", "container_document"]

# Docker's 64 MiB break programs that share memory between processes, such as PyTorch's
# data loaders. What is not used costs nothing, and all of it counts as memory.
_SHARED_MEMORY = 1 << 30
_PER_CPU = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of the engine's machine that leads to one of a container.

    Attributes:
        published: The machine's port; 0 for any that is free.
        container: The container's port.
        address: The machine's address it listens on; empty for all.
    """

    published: int
    container: int
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a container gets that its task does not say.

    Attributes:
        network: The id of its network.
        labels: Ours.
        init: Whether the engine's own init reaps processes and passes signals on.
        aliases: Names under which others on the network find it.
        ports: What is published.
        restart: When the engine starts it again by itself.
    """

    network: str
    labels: Mapping[str, str]
    init: bool
    aliases: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    restart: Literal["no", "unless-stopped"] = "no"


def container_document(task: Task, around: Surroundings) -> dict[str, object]:
    """Return the body of a request to create the container of a task."""
    program, *arguments = task.command or ("",)
    document: dict[str, object] = {
        "Image": task.image,
        "Env": [f"{name}={value}" for name, value in task.env.items()],
        "Labels": {**task.labels, **around.labels},
        "AttachStdout": True,
        "AttachStderr": True,
        "ExposedPorts": {f"{port.container}/tcp": {} for port in around.ports},
        "HostConfig": {
            "NetworkMode": around.network,
            "Init": around.init,
            "ShmSize": _SHARED_MEMORY,
            "Mounts": [mount_document(mount) for mount in task.mounts],
            "PortBindings": _bindings(around.ports),
            "RestartPolicy": {"Name": around.restart},
            **_limits(task.resources),
        },
        "NetworkingConfig": {
            "EndpointsConfig": {around.network: {"Aliases": list(around.aliases)}}
        },
    }
    if program:
        document |= {"Entrypoint": [program], "Cmd": arguments}
    return document


def _limits(resources: Resources) -> dict[str, object]:
    limits: dict[str, object] = {}
    if resources.cpus is not None:
        limits["NanoCpus"] = round(resources.cpus * _PER_CPU)
    if resources.memory is not None:
        # Memory and swap together: without it a program may swap as much again.
        limits |= {"Memory": resources.memory, "MemorySwap": resources.memory}
    if resources.gpus:
        limits["DeviceRequests"] = [
            {"Count": resources.gpus, "Capabilities": [["gpu"]]}
        ]
    return limits


def _bindings(ports: tuple[PublishedPort, ...]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        published = str(port.published) if port.published else ""
        bindings.setdefault(f"{port.container}/tcp", []).append(
            {"HostIp": port.address, "HostPort": published}
        )
    return bindings
