"""Manifests for Kubernetes: valid by its schemas, and meaning what was asked."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import SpecError
from aweigh.flow.target import Deployment, Mount, Resources, Task
from aweigh.integrations.kubernetes import (
    ClusterOptions,
    Manifest,
    render_deployment,
    render_job,
)
from aweigh.oci import Reference

DIGEST = "sha256:" + "a" * 64
TASK = Task(
    name="train",
    image=f"ghcr.io/acme/train@{DIGEST}",
    reference=Reference.parse("ghcr.io/acme/train"),
    command=("python", "main.py"),
)
OPTIONS = ClusterOptions(
    namespace="jobs",
    service_account="runner",
    pull_secret="ghcr",
)
# As the API server checks labels, which no schema does.
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
VERSIONS = ("1.29", "1.32", kubernetes_validate.latest_version())


def valid(manifests: tuple[Manifest, ...]) -> list[dict[str, Any]]:
    """Check manifests against the schemas of several releases, strictly."""
    documents: list[dict[str, Any]] = [dict(manifest) for manifest in manifests]
    for document in documents:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
        for metadata in (document["metadata"], template(document)["metadata"]):
            for value in metadata.get("labels", {}).values():
                assert len(value) <= 63
                assert LABEL.fullmatch(value)
    return documents


def template(document: dict[str, Any]) -> dict[str, Any]:
    """Return what pods are made from; the document itself where there are none."""
    found: dict[str, Any] = document["spec"].get("template", document)
    return found


def pod(document: dict[str, Any]) -> dict[str, Any]:
    """Return the pod of a job or a deployment."""
    found: dict[str, Any] = document["spec"]["template"]["spec"]
    return found


def test_the_least_job() -> None:
    """A command by digest, run once, with nothing that nobody asked for."""
    (job,) = valid(render_job(TASK))
    assert job["kind"] == "Job"
    assert job["spec"]["backoffLimit"] == 0
    assert pod(job)["restartPolicy"] == "Never"
    (container,) = pod(job)["containers"]
    assert container == {
        "name": "main",
        "image": TASK.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "main.py"],
    }


def test_everything_in_a_job() -> None:
    """Limits, mounts, secrets, variables and what the cluster needs are in it."""
    task = replace(
        TASK,
        env={"B": "2", "A": "$(HOME) costs $$5"},
        secrets={"token": "hunter2"},
        resources=Resources(cpus=0.5, memory=512 << 20, gpus=1),
        mounts=(
            Mount(source="/data", target="/in", read_only=True),
            Mount(source="models", target="/out"),
        ),
        labels={"team": "ml"},
    )
    (job,) = valid(render_job(task, timeout=90.4, options=OPTIONS))
    assert job["spec"]["activeDeadlineSeconds"] == 90
    assert job["metadata"]["namespace"] == "jobs"
    assert job["metadata"]["labels"]["team"] == "ml"
    assert pod(job)["serviceAccountName"] == "runner"
    assert pod(job)["imagePullSecrets"] == [{"name": "ghcr"}]
    (container,) = pod(job)["containers"]
    assert container["env"] == [
        {"name": "A", "value": "$$(HOME) costs $$$$5"},
        {"name": "B", "value": "2"},
    ]
    limits = {"cpu": "500m", "memory": "536870912", "nvidia.com/gpu": "1"}
    assert container["resources"] == {"limits": limits, "requests": limits}
    sources = {volume["name"]: volume for volume in pod(job)["volumes"]}
    assert sources["mount-0"]["hostPath"] == {"path": "/data"}
    assert sources["mount-1"]["persistentVolumeClaim"] == {"claimName": "models"}
    assert sources["secrets"]["secret"]["secretName"] == "train-secrets"
    assert "hunter2" not in str(job)


def test_what_no_label_can_hold_is_an_annotation() -> None:
    """Where image and code came from is told, and the API server takes it."""
    told = {
        "aweigh.bundle": f"s3://bucket/code/bundles/{'b' * 64}",
        "aweigh.image": "ghcr.io/acme/train:aw-0bbba3b7010605e72ff4",
    }
    task = replace(TASK, labels={"team": "ml", **told})
    wanted = Deployment(name="api", task=task, ports={80: 8000})
    (job,) = valid(render_job(task))
    deployment, service = valid(render_deployment(wanted))
    for metadata in (
        job["metadata"],
        template(job)["metadata"],
        template(deployment)["metadata"],
        service["metadata"],
    ):
        assert metadata["annotations"] == told
        assert metadata["labels"]["team"] == "ml"


def test_a_service_by_its_selector() -> None:
    """The Service's selector finds the Deployment's pods, and its ports lead there."""
    wanted = Deployment(
        name="api",
        task=TASK,
        replicas=3,
        ports={8080: 8000, 9090: 9000},
        health_path="/health",
    )
    deployment, service = valid(render_deployment(wanted, options=OPTIONS))
    chosen = deployment["spec"]["selector"]["matchLabels"]
    assert (
        chosen.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )
    assert service["spec"]["selector"] == chosen
    assert deployment["spec"]["replicas"] == 3
    assert [(p["port"], p["targetPort"]) for p in service["spec"]["ports"]] == [
        (8080, 8000),
        (9090, 9000),
    ]
    (container,) = pod(deployment)["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8000}


def test_a_service_without_ports_or_health() -> None:
    """Without ports there is no Service; without a path, ready means it accepts."""
    (deployment,) = valid(render_deployment(Deployment(name="worker", task=TASK)))
    assert "readinessProbe" not in pod(deployment)["containers"][0]
    wanted = Deployment(name="api", task=TASK, ports={80: 8000})
    deployment, _ = valid(render_deployment(wanted))
    probe = pod(deployment)["containers"][0]["readinessProbe"]
    assert probe == {"tcpSocket": {"port": 8000}}


@pytest.mark.parametrize("name", ["", "Train", "1job", "a_b", "a-", "a" * 64])
def test_names_that_kubernetes_refuses(name: str) -> None:
    """A name that the API server would refuse is refused here."""
    with pytest.raises(SpecError, match="cannot be the name"):
        render_job(replace(TASK, name=name))


def test_images_of_this_machine_only() -> None:
    """What no node can pull is not rendered."""
    with pytest.raises(SpecError, match="no cluster can pull it"):
        render_job(replace(TASK, image=DIGEST, reference=None))


def expanded(text: str, known: dict[str, str]) -> str:
    """Expand a text as Kubernetes' `third_party/forked/golang/expansion` does."""
    out, at = "", 0
    while at < len(text):
        if text[at] == "$" and at + 1 < len(text):
            if text[at + 1] == "$":
                out, at = out + "$", at + 2
                continue
            end = text.find(")", at)
            if text[at + 1] == "(" and end > 0:
                name = text[at + 2 : end]
                out, at = out + known.get(name, f"$({name})"), end + 1
                continue
        out, at = out + text[at], at + 1
    return out


@given(st.text(alphabet="$()Ax ", max_size=12))
def test_texts_arrive_as_they_were(text: str) -> None:
    """Whatever is in a command, Kubernetes' expansion gives it back."""
    (job,) = render_job(replace(TASK, command=("echo", text)))
    (container,) = pod(dict(job))["containers"]
    assert expanded(container["command"][1], {"A": "wrong"}) == text
