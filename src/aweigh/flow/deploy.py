"""A service, with its image and its code, kept running by a target."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh.errors import ImageGoneError, SpecError, TargetError
from aweigh.events.flow import ServiceDeployed
from aweigh.flow.target import Deployment, DevTarget, ServiceTarget
from aweigh.flow.work import service_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from aweigh.flow.load import Loaded, Loader
    from aweigh.flow.target import Service, Target
    from aweigh.flow.work import Work
    from aweigh.image.spec import ImageSpec

__all__ = ["Wanted", "deploy", "dev_target", "service_target"]

_PORTS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A service as people ask for it.

    Attributes:
        name: Its name; deploying under it again updates it in place.
        work: What each replica runs.
        replicas: How many.
        ports: Published ports, with the container's port each leads to.
        health_path: Asked for by HTTP on the first container port, if given.
    """

    name: str
    work: Work
    replicas: int = 1
    ports: Mapping[int, int] = field(default_factory=dict)
    health_path: str | None = None

    def __post_init__(self) -> None:
        service_name(self.name)
        if self.replicas < 1:
            raise SpecError(
                f"{self.replicas} replicas of {self.name} are none",
                hint="ask for one at least, or remove the service",
            )
        for published, inside in self.ports.items():
            if not (0 < published < _PORTS and 0 < inside < _PORTS):
                raise SpecError(
                    f"{published}:{inside} is no pair of ports",
                    hint="ports lead from 1..65535 to 1..65535: {8080: 8000}",
                )
        if self.health_path is not None and not self.health_path.startswith("/"):
            raise SpecError(
                f"{self.health_path!r} is no path of a URL",
                hint="begin it with a slash: /health",
            )

    def deployment(self, loaded: Loaded) -> Deployment:
        """Say to a target what is wanted, with an image that has the code."""
        return Deployment(
            name=self.name,
            task=self.work.task(self.name, loaded),
            replicas=self.replicas,
            ports=self.ports,
            health_path=self.health_path,
        )


async def deploy(
    loader: Loader,
    find: Callable[[], Awaitable[Target]],
    wanted: Wanted,
    *,
    spec: ImageSpec,
    directory: str | Path,
) -> Service:
    """Bring a service to the version of a directory, and wait until it is well.

    An image that the target finds missing is ensured once more.

    Args:
        loader: Makes the image exist.
        find: Returns the target; it is looked for while the image is made.
        wanted: The service.
        spec: The image without the code.
        directory: The code.

    Raises:
        DeployError: The new version does not get well; the old one runs again.
        ImageGoneError: The image vanished twice.
        TargetError: The target keeps no services, refused, or does not answer.
        AweighError: What `Session.prepare` raises.

    Cancelling leaves the old version, or the new one being started.
    """
    started = time.perf_counter()

    async def keeps_services() -> ServiceTarget:
        return service_target(await find())

    target, loaded = await loader.begin(spec, directory, keeps_services)
    try:
        service = await target.deploy(wanted.deployment(loaded))
    except ImageGoneError as error:
        loaded = await loader.heal(loaded, error)
        service = await target.deploy(wanted.deployment(loaded))
    loader.listener(
        ServiceDeployed(
            name=service.name,
            image=service.image,
            target=target.name,
            url=service.url,
            seconds=time.perf_counter() - started,
        )
    )
    return service


def service_target(target: Target) -> ServiceTarget:
    """Return a target that keeps services running.

    Raises:
        TargetError: This one does not.
    """
    if isinstance(target, ServiceTarget):
        return target
    raise TargetError(
        f"{target.name} keeps no services running",
        hint="deploy on another target, such as docker or swarm",
        target=target.name,
    )


def dev_target(target: Target) -> DevTarget:
    """Return a target that holds a container for a dev loop.

    Raises:
        TargetError: This one does not.
    """
    if isinstance(target, DevTarget):
        return target
    raise TargetError(
        f"{target.name} holds no containers for a dev loop",
        hint="serve on this machine's engine: target='docker'",
        target=target.name,
    )
