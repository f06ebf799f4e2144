"""`aweigh render`: manifests by digest, valid by Kubernetes' own schemas."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from tests.cli.flows import Flows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services import Services

NEWEST = kubernetes_validate.latest_version()


@pytest.fixture
def flows(services: Services, repository: str, tmp_path: Path) -> Flows:
    """Return a project whose images go to a registry."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "main.py").write_text("print(1)\n")
    (project / "pyproject.toml").write_text(
        f'[tool.aweigh.image]\nname = "flows"\nbase = "{services.base}"\n'
    )
    environ = {
        "AWEIGH_REGISTRY": repository,
        "AWEIGH_ENGINE": services.engine,
        "AWEIGH_CACHE_DIR": str(tmp_path / "cache"),
        "AWEIGH_DATA_DIR": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    return Flows(project, environ, f"aweigh-cli-{uuid.uuid4().hex[:8]}")


def documents(text: str) -> list[dict[str, Any]]:
    """Read manifests, each of them valid."""
    found = list(yaml.safe_load_all(text))
    for document in found:
        kubernetes_validate.validate(document, NEWEST, strict=True)
    return found


def test_a_job_and_a_deployment_of_one_image(flows: Flows) -> None:
    """A job by default; ports and replicas make a service of the same digest."""
    argv = ("render", "--dir", "src", "-q", "-e", "A=1", "--memory", "512m")
    job = flows(
        *argv, "--target", "kubernetes", "--name", "train", "--", "python3", "main.py"
    )
    assert job.code == 0, job.err
    (made,) = documents(job.out)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert "/flows@sha256:" in container["image"]
    assert {"name": "A", "value": "1"} in container["env"]
    assert container["resources"]["limits"] == {"memory": "536870912"}
    ports = ("-p", "80:8000", "--health-path", "/health", "--namespace", "web")
    service = flows(*argv, "--name", "api", *ports, "--", "python3", "main.py")
    deployment, published = documents(service.out)
    (again,) = deployment["spec"]["template"]["spec"]["containers"]
    assert again["image"] == container["image"]
    assert published["kind"] == "Service"
    assert published["metadata"]["namespace"] == "web"


def test_json_is_one_list(flows: Flows) -> None:
    """`--json` prints one object, a List, that kubectl takes as well."""
    argv = ("render", "--dir", "src", "-q", "--json", "--name", "api", "-p", "80:8000")
    made = flows(*argv, "--", "python3", "main.py")
    listed = json.loads(made.out)
    assert listed["kind"] == "List"
    assert [item["kind"] for item in listed["items"]] == ["Deployment", "Service"]


def test_other_targets_are_not_rendered(flows: Flows) -> None:
    """A target that runs things has no manifests: exit code 2, and what to do."""
    argv = ("render", "--target", "swarm", "--name", "api", "--", "python3", "main.py")
    made = flows(*argv)
    assert made.code == 2
    assert "nothing is rendered for 'swarm'" in made.err


def test_what_no_cluster_can_pull(flows: Flows) -> None:
    """An image of this machine only is refused, with what to set."""
    argv = ("render", "--dir", "src", "-q", "--name", "api", "--", "python3", "main.py")
    made = flows(*argv, AWEIGH_REGISTRY="")
    assert made.code == 1
    assert "no cluster can pull it" in made.err
    assert "registry" in made.err
