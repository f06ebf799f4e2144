"""What a swarm is asked for, where this machine's swarm cannot show the result."""

from typing import Any

import pytest

from aweigh.backends.engine.target.labels import Labels
from aweigh.backends.engine.target.swarm.spec import (
    Publish,
    SecretFile,
    Surroundings,
    config_digest,
    job_document,
    service_document,
    service_name,
)
from aweigh.flow.target import Deployment, Mount, Resources, Task

LABELS = Labels("ns")


def make_task(**more: Any) -> Task:
    """Return a task."""
    values = {
        "name": "t",
        "image": "r/i@sha256:0",
        "reference": None,
        "command": ("x",),
    }
    return Task(**(values | more))


def make_service(**more: Any) -> Deployment:
    """Return a deployment."""
    values: dict[str, Any] = {"name": "api", "task": make_task()}
    return Deployment(**(values | more))


@pytest.mark.parametrize(
    ("publish", "order"), [("ingress", "start-first"), ("host", "stop-first")]
)
def test_ports_and_the_order_of_updates(publish: Publish, order: str) -> None:
    """A node's own port is free only when the old replica has gone."""
    around = Surroundings(labels=LABELS, publish=publish)
    document: Any = service_document(make_service(ports={80: 8000}), around)
    assert document["EndpointSpec"]["Ports"] == [
        {
            "Protocol": "tcp",
            "TargetPort": 8000,
            "PublishedPort": 80,
            "PublishMode": publish,
        }
    ]
    assert document["UpdateConfig"]["Order"] == order
    assert document["UpdateConfig"]["FailureAction"] == "rollback"
    without: Any = service_document(make_service(), around)
    assert without["UpdateConfig"]["Order"] == "start-first"


def test_resources_are_limits_and_reserved() -> None:
    """GPUs are asked for by the nodes' own name for them."""
    around = Surroundings(labels=LABELS, gpu_kind="NVIDIA-GPU")
    wanted = Resources(cpus=0.5, memory=1 << 30, gpus=2)
    document: Any = job_document(make_task(resources=wanted), around)
    resources = document["TaskTemplate"]["Resources"]
    both = {"NanoCPUs": 500_000_000, "MemoryBytes": 1 << 30}
    gpus = {"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 2}}
    assert resources["Limits"] == both
    assert resources["Reservations"] == both | {"GenericResources": [gpus]}


def test_mounts_and_the_memory_that_is_shared() -> None:
    """A mount of the user's at its place wins."""
    around = Surroundings(labels=LABELS)
    mounts = (
        Mount(source="/data", target="/d", read_only=True),
        Mount(source="cache", target="/dev/shm"),
    )
    document: Any = job_document(make_task(mounts=mounts), around)
    found = document["TaskTemplate"]["ContainerSpec"]["Mounts"]
    assert [(one["Type"], one["Source"], one["ReadOnly"]) for one in found] == [
        ("bind", "/data", True),
        ("volume", "cache", False),
    ]
    other: Any = job_document(make_task(), around)
    (shared,) = other["TaskTemplate"]["ContainerSpec"]["Mounts"]
    assert (shared["Type"], shared["Target"]) == ("tmpfs", "/dev/shm")


def test_the_image_can_have_a_command_of_its_own() -> None:
    """Nothing is said about it then."""
    document: Any = job_document(make_task(command=()), Surroundings(labels=LABELS))
    assert "Command" not in document["TaskTemplate"]["ContainerSpec"]


def test_the_digest_of_a_configuration() -> None:
    """Replicas and the values of secrets are not in it; all else that runs is."""
    around = Surroundings(labels=LABELS, secrets=(SecretFile("f", "id", "name"),))
    base = config_digest(make_service(), around)
    assert config_digest(make_service(replicas=5), around) == base
    others = {
        config_digest(make_service(ports={1: 2}), around),
        config_digest(make_service(health_path="/"), around),
        config_digest(make_service(task=make_task(env={"A": "1"})), around),
        config_digest(make_service(task=make_task(command=("y",))), around),
        config_digest(make_service(), Surroundings(labels=LABELS)),
        config_digest(make_service(), Surroundings(labels=LABELS, publish="host")),
    }
    assert len(others - {base}) == 6


def test_names_fit_and_stay_apart() -> None:
    """A swarm takes 63 letters, digits and dashes."""
    names = ["api", "a" * 70, "a" * 71, "a.b", "a-b", "ünï"]
    made = [service_name(LABELS, name) for name in names]
    assert made[0] == "ns-api"
    assert len(set(made)) == len(made)
    assert all(len(one) <= 63 and "." not in one and one.isascii() for one in made)
