"""Kubernetes manifests of tasks and services, by digest; nothing is submitted.

A cluster needs nothing but the image: the code is a layer of it. Secrets are
referred to and never written: their values stay with whoever made them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aweigh.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aweigh.flow.target import Deployment, Mount, Resources, Task

__all__ = ["ClusterOptions", "Manifest", "render_deployment", "render_job"]

Value: TypeAlias = "str | int | bool | Sequence[Value] | Mapping[str, Value]"
Manifest: TypeAlias = "Mapping[str, Value]"

# DNS labels (RFC 1123), and of services those that begin with a letter (RFC 1035).
_NAME: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_NAME_LIMIT: Final = 63
# What the API server takes as the value of a label; no schema says it.
_LABEL: Final = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_VERSIONS: Final = {"Job": "batch/v1", "Deployment": "apps/v1", "Service": "v1"}
_SECRETS: Final = "/run/secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """What manifests say besides the task.

    Attributes:
        namespace: Where everything goes; None leaves it to the context.
        service_account: What pods run as; None for the namespace's default.
        pull_secret: Name of the ``kubernetes.io/dockerconfigjson`` secret with which
            nodes log in to the registry; None when they need none.
        service_type: How the ports of a deployment are published.
        keep_finished: Seconds for which a finished job can be looked at.
    """

    namespace: str | None = None
    service_account: str | None = None
    pull_secret: str | None = None
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    keep_finished: int = 86400


_DEFAULT: Final = ClusterOptions()


def render_job(
    task: Task, *, timeout: float | None = None, options: ClusterOptions = _DEFAULT
) -> tuple[Manifest, ...]:
    """Render a ``batch/v1`` Job that runs a task once; a failure is not repeated.

    Args:
        task: What runs; its image has to be in a registry.
        timeout: Seconds after which Kubernetes stops it.
        options: What else the manifest says.

    Raises:
        SpecError: Kubernetes would refuse the name, or cannot pull the image.
    """
    spec: dict[str, Value] = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": options.keep_finished,
        "template": {
            "metadata": _metadata(task.name, task),
            "spec": {**_pod(task, options), "restartPolicy": "Never"},
        },
    }
    if timeout is not None:
        spec["activeDeadlineSeconds"] = max(1, round(timeout))
    return (_document("Job", task.name, task, options, spec),)


def render_deployment(
    wanted: Deployment, *, options: ClusterOptions = _DEFAULT
) -> tuple[Manifest, ...]:
    """Render an ``apps/v1`` Deployment, and a Service when it publishes ports.

    A new version starts beside the old one, which goes when the new one is ready.

    Raises:
        SpecError: Kubernetes would refuse the name, or cannot pull the image.
    """
    task, name = wanted.task, wanted.name
    chosen: dict[str, Value] = {"app.kubernetes.io/name": name}
    ports = sorted(wanted.ports.items())
    container: dict[str, Value] = {}
    if ports:
        container["ports"] = [
            {"containerPort": inner} for inner in sorted({port for _, port in ports})
        ]
        container["readinessProbe"] = _probe(wanted.health_path, ports[0][1])
    spec: dict[str, Value] = {
        "replicas": wanted.replicas,
        "selector": {"matchLabels": chosen},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "template": {
            "metadata": _metadata(name, task),
            "spec": _pod(task, options, container),
        },
    }
    deployment = _document("Deployment", name, task, options, spec)
    if not ports:
        return (deployment,)
    published: dict[str, Value] = {
        "type": options.service_type,
        "selector": chosen,
        "ports": [
            {"name": f"port-{outer}", "port": outer, "targetPort": inner}
            for outer, inner in ports
        ],
    }
    return deployment, _document("Service", name, task, options, published)


def _document(
    kind: str,
    name: str,
    task: Task,
    options: ClusterOptions,
    spec: Manifest,
) -> Manifest:
    if not _NAME.fullmatch(name) or len(name) > _NAME_LIMIT:
        raise SpecError(
            f"{name!r} cannot be the name of a {kind} in Kubernetes",
            hint="use at most 63 lower-case letters, digits and dashes, a letter first",
        )
    if task.reference is None:
        raise SpecError(
            f"the image {task.image} is on this machine only: no cluster can pull it",
            hint="set registry to one that the cluster's nodes can reach",
        )
    metadata: dict[str, Value] = {"name": name, **_metadata(name, task)}
    if options.namespace is not None:
        metadata["namespace"] = options.namespace
    return {
        "apiVersion": _VERSIONS[kind],
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def _metadata(name: str, task: Task) -> dict[str, Value]:
    """Part what can be a label from what only an annotation may hold, such as a URI."""
    ours = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/managed-by": "aweigh",
    }
    labels: dict[str, Value] = {}
    annotations: dict[str, Value] = {}
    for key, value in {**task.labels, **ours}.items():
        (labels if _LABEL.fullmatch(value) else annotations)[key] = value
    return {"labels": labels, **({"annotations": annotations} if annotations else {})}


def _pod(
    task: Task, options: ClusterOptions, more: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    volumes = list(_volumes(task))
    container: dict[str, Value] = {
        "name": "main",
        "image": task.image,
        # By digest, so what a node has under this name is the right one.
        "imagePullPolicy": "IfNotPresent",
        "command": [_literal(part) for part in task.command],
        **(more or {}),
    }
    if task.env:
        container["env"] = [
            {"name": name, "value": _literal(value)}
            for name, value in sorted(task.env.items())
        ]
    if limits := _limits(task.resources):
        container["resources"] = {"limits": limits, "requests": limits}
    if volumes:
        container["volumeMounts"] = [mounted for _, mounted in volumes]
    pod: dict[str, Value] = {"containers": [container]}
    if volumes:
        pod["volumes"] = [volume for volume, _ in volumes]
    if options.service_account is not None:
        pod["serviceAccountName"] = options.service_account
    if options.pull_secret is not None:
        pod["imagePullSecrets"] = [{"name": options.pull_secret}]
    return pod


def _volumes(task: Task) -> Iterator[tuple[dict[str, Value], dict[str, Value]]]:
    """Each volume of a pod, and where its container has it."""
    for number, mount in enumerate(task.mounts):
        name = f"mount-{number}"
        yield (
            {"name": name, **_source(mount)},
            {"name": name, "mountPath": mount.target, "readOnly": mount.read_only},
        )
    if task.secrets:
        items = [{"key": name, "path": name} for name in sorted(task.secrets)]
        secret: dict[str, Value] = {
            "secretName": f"{task.name}-secrets",
            "items": items,
            "defaultMode": 0o444,
        }
        yield (
            {"name": "secrets", "secret": secret},
            {"name": "secrets", "mountPath": _SECRETS, "readOnly": True},
        )


def _source(mount: Mount) -> dict[str, Value]:
    if mount.source.startswith("/"):
        return {"hostPath": {"path": mount.source}}
    return {"persistentVolumeClaim": {"claimName": mount.source}}


def _limits(resources: Resources) -> dict[str, Value]:
    limits: dict[str, Value] = {}
    if resources.cpus is not None:
        limits["cpu"] = f"{max(1, round(resources.cpus * 1000))}m"
    if resources.memory is not None:
        limits["memory"] = str(resources.memory)
    if resources.gpus:
        limits["nvidia.com/gpu"] = str(resources.gpus)
    return limits


def _probe(path: str | None, port: int) -> dict[str, Value]:
    if path is None:
        return {"tcpSocket": {"port": port}}
    return {"httpGet": {"path": path, "port": port}}


def _literal(text: str) -> str:
    """Keep Kubernetes from expanding ``$(NAME)`` in what is meant as it is.

    In commands and variables ``$$`` stands for a dollar sign ("Define Dependent
    Environment Variables" in the documentation of Kubernetes).
    """
    return text.replace("$", "$$")
