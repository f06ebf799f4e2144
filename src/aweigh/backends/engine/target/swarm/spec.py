"""The documents that a swarm makes jobs and services from."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from aweigh.backends.engine.target.labels import (
    CONFIG_LABEL,
    KIND_LABEL,
    NAME_LABEL,
    NAMESPACE_LABEL,
    container_name,
)
from aweigh.backends.engine.target.mount import mount_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.backends.engine.target.labels import Labels
    from aweigh.flow.target import Deployment, Resources, Task

__all__ = [
    "Publish",
    "SecretFile",
    "Surroundings",
    "config_digest",
    "job_document",
    "service_document",
    "service_name",
]

Publish = Literal["ingress", "host"]
_PER_CPU = 1_000_000_000
_SECOND = 1_000_000_000
# Docker's 64 MiB break programs that share memory between processes.
_SHARED_MEMORY = 1 << 30
_SHARED_DIRECTORY = "/dev/shm"  # noqa: S108 - the container's
_NAME_LIMIT = 63
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9-]+")
# Asked for by HTTP from inside: what a load balancer in front would see.
_PROBE = (
    "import sys,http.client as h;"
    "c=h.HTTPConnection('127.0.0.1',int(sys.argv[1]),timeout=4);"
    "c.request('GET',sys.argv[2]);"
    "sys.exit(c.getresponse().status>=400)"
)
_PROBE_INTERVAL = 2
_PROBE_TIMEOUT = 5
_PROBE_RETRIES = 3
_START_PERIOD = 60


class SecretFile(NamedTuple):
    """A secret of the swarm, and the file it becomes."""

    file: str
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a service gets that its task does not say.

    Attributes:
        labels: Those of the namespace.
        secrets: Its secrets, already in the swarm.
        network: The id of its network; None for the engines' default one.
        init: Whether the engines' own init reaps processes and passes signals on.
        gpu_kind: What the nodes call their GPUs.
        publish: How ports are published.
        monitor: Seconds that a replica has to keep running to be well.
    """

    labels: Labels
    secrets: tuple[SecretFile, ...] = ()
    network: str | None = None
    init: bool = False
    gpu_kind: str = "gpu"
    publish: Publish = "ingress"
    monitor: float = 5.0


def service_name(labels: Labels, name: str) -> str:
    """Return the swarm's name of a service, which is shorter than others may be."""
    wanted = _NOT_IN_NAMES.sub("-", container_name(labels.namespace, name)).strip("-")
    if len(wanted) <= _NAME_LIMIT and wanted.endswith(f"-{name}"):
        return wanted
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{wanted[: _NAME_LIMIT - 9]}-{mark}"


def job_document(task: Task, around: Surroundings) -> dict[str, object]:
    """Return the body of a request to run a task once.

    A service of one replica that is never restarted, and no job of the swarm: removing
    a job leaves its program running and its containers on the nodes (seen with 20.10).
    """
    labels = around.labels.of("run", task.name)
    return {
        "Name": service_name(around.labels, task.name),
        "Labels": {**task.labels, **labels},
        "TaskTemplate": {
            "ContainerSpec": _container(task, around, labels),
            "Resources": _resources(task.resources, around.gpu_kind),
            "RestartPolicy": {"Condition": "none", "MaxAttempts": 0},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
    }


def service_document(wanted: Deployment, around: Surroundings) -> dict[str, object]:
    """Return the body of a request to create or update a service."""
    config = config_digest(wanted, around)
    container_labels = {
        NAMESPACE_LABEL: around.labels.namespace,
        KIND_LABEL: "deploy",
        NAME_LABEL: wanted.name,
        CONFIG_LABEL: config,
    }
    container = _container(wanted.task, around, container_labels)
    if wanted.health_path is not None and wanted.ports:
        container["Healthcheck"] = _healthcheck(wanted)
    labels = around.labels.of("deploy", wanted.name, config=config)
    return {
        "Name": service_name(around.labels, wanted.name),
        "Labels": {**wanted.task.labels, **labels},
        "TaskTemplate": {
            "ContainerSpec": container,
            "Resources": _resources(wanted.task.resources, around.gpu_kind),
            "RestartPolicy": {"Condition": "any", "Delay": _SECOND},
            "Networks": [{"Target": around.network, "Aliases": [wanted.name]}],
        },
        "Mode": {"Replicated": {"Replicas": wanted.replicas}},
        "UpdateConfig": _turn(wanted, around) | {"FailureAction": "rollback"},
        "RollbackConfig": _turn(wanted, around) | {"FailureAction": "pause"},
        "EndpointSpec": {"Ports": _ports(wanted, around)},
    }


def config_digest(wanted: Deployment, around: Surroundings) -> str:
    """Return what a replica runs and how, in one word; replicas do not matter."""
    task = wanted.task
    resources = task.resources
    document = {
        "image": task.image,
        "command": task.command,
        "env": dict(task.env),
        "secrets": sorted(secret.id for secret in around.secrets),
        "resources": [resources.cpus, resources.memory, resources.gpus],
        "mounts": [[one.source, one.target, one.read_only] for one in task.mounts],
        "labels": dict(task.labels),
        "ports": sorted(wanted.ports.items()),
        "health": wanted.health_path,
        "publish": around.publish,
        "network": around.network,
        "init": around.init,
    }
    text = json.dumps(document, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:32]


def _container(
    task: Task, around: Surroundings, labels: Mapping[str, str]
) -> dict[str, object]:
    program, *arguments = task.command or ("",)
    document: dict[str, object] = {
        "Image": task.image,
        "Env": [f"{name}={value}" for name, value in sorted(task.env.items())],
        "Labels": {**task.labels, **labels},
        "Mounts": _mounts(task),
        "Init": around.init,
        "Secrets": [
            {
                "SecretID": secret.id,
                "SecretName": secret.name,
                "File": {"Name": secret.file, "UID": "0", "GID": "0", "Mode": 0o444},
            }
            for secret in around.secrets
        ],
    }
    if program:
        document |= {"Command": [program], "Args": arguments}
    return document


def _mounts(task: Task) -> list[dict[str, object]]:
    mounts = [mount_document(mount) for mount in task.mounts]
    if not any(mount.target == _SHARED_DIRECTORY for mount in task.mounts):
        options = {"SizeBytes": _SHARED_MEMORY, "Mode": 0o1777}
        mounts.append(
            {"Type": "tmpfs", "Target": _SHARED_DIRECTORY, "TmpfsOptions": options}
        )
    return mounts


def _resources(resources: Resources, gpu_kind: str) -> dict[str, object]:
    # Reserved as well as limited: else the swarm puts everything on one node.
    limits: dict[str, object] = {}
    if resources.cpus is not None:
        limits["NanoCPUs"] = round(resources.cpus * _PER_CPU)
    if resources.memory is not None:
        limits["MemoryBytes"] = resources.memory
    reserved = dict(limits)
    if resources.gpus:
        wanted = {"Kind": gpu_kind, "Value": resources.gpus}
        reserved["GenericResources"] = [{"DiscreteResourceSpec": wanted}]
    return {"Limits": limits, "Reservations": reserved}


def _healthcheck(wanted: Deployment) -> dict[str, object]:
    port = next(iter(wanted.ports.values()))
    path = "/" + (wanted.health_path or "").removeprefix("/")
    return {
        "Test": ["CMD", "python3", "-I", "-S", "-c", _PROBE, str(port), path],
        "Interval": _PROBE_INTERVAL * _SECOND,
        "Timeout": _PROBE_TIMEOUT * _SECOND,
        "Retries": _PROBE_RETRIES,
        "StartPeriod": _START_PERIOD * _SECOND,
    }


def _turn(wanted: Deployment, around: Surroundings) -> dict[str, object]:
    # A node's own port can be held by one replica only: the old one has to go first.
    has_to_go = bool(wanted.ports) and around.publish == "host"
    return {
        "Parallelism": 1,
        "Order": "stop-first" if has_to_go else "start-first",
        "Monitor": round(around.monitor * _SECOND),
        "MaxFailureRatio": 0,
    }


def _ports(wanted: Deployment, around: Surroundings) -> list[dict[str, object]]:
    return [
        {
            "Protocol": "tcp",
            "TargetPort": container,
            "PublishedPort": published,
            "PublishMode": around.publish,
        }
        for published, container in wanted.ports.items()
    ]
