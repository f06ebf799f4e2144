"""A Docker Swarm as a target: tasks and services on many machines."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from aweigh.backends.engine.auth import auth_header
from aweigh.backends.engine.target.labels import Labels
from aweigh.backends.engine.target.service import DeployedService
from aweigh.backends.engine.target.swarm.api import (
    find_services,
    manager_of,
)
from aweigh.backends.engine.target.swarm.faults import (
    TARGET,
    gone,
    not_startable,
    swarm_faults,
)
from aweigh.backends.engine.target.swarm.job import held_job, watch_job
from aweigh.backends.engine.target.swarm.listing import running_services, url_of
from aweigh.backends.engine.target.swarm.logs import service_logs
from aweigh.backends.engine.target.swarm.network import (
    remove_overlay,
)
from aweigh.backends.engine.target.swarm.removal import remove_service
from aweigh.backends.engine.target.swarm.rollout import Rollouts
from aweigh.backends.engine.target.swarm.secrets import SwarmSecrets
from aweigh.backends.engine.target.swarm.spec import Surroundings, job_document
from aweigh.concurrency.settled import settled
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.swarm.api import Found, Manager
    from aweigh.events import Listener
    from aweigh.flow.target import Deployment, LogLine, OnLog, Running, Task
    from aweigh.image.credential import CredentialSource

__all__ = ["SwarmTarget"]


class SwarmTarget:
    """Runs tasks and services on the nodes of a swarm.

    Args:
        engine: A manager of the swarm.
        credentials: Who we are at registries: what they know is sent with each task,
            and the node that runs it pulls with it.
        listener: Hears of warnings.
        namespace: What it makes is labelled with this, and services are on a network
            of this name; it finds and removes nothing else.
        monitor: Seconds that a new replica has to keep running to be well.
        patience: Seconds until a deployment has to be well.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        credentials: CredentialSource,
        listener: Listener,
        namespace: str = "aweigh",
        monitor: float = 5.0,
        patience: float = 600.0,
    ) -> None:
        self._engine = engine
        self._credentials = credentials
        self._listener = listener
        self._labels = Labels(namespace)
        self._secrets = SwarmSecrets(engine, self._labels)
        self._rollouts = Rollouts(
            engine=engine,
            labels=self._labels,
            secrets=self._secrets,
            listener=listener,
            monitor=monitor,
            patience=patience,
        )
        self._manager: Manager | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return TARGET

    @property
    def pulls(self) -> bool:
        """Whether only images of a registry can run: each node pulls by itself."""
        return True

    async def run(self, task: Task, on_log: OnLog, /) -> int:
        """Run a task on one node to its end and return its exit code.

        Cancelling sends the program its image's stop signal and kills it 10 s later.

        Raises:
            ImageGoneError: The node could not get the image.
            TargetError: The engine is no manager, the task cannot be started, or its
                node went down and nobody knows how it ended.
            EngineUnavailableError: The engine does not answer.
        """
        headers = await self._headers(task)
        with swarm_faults(f"{task.name} cannot be run"):
            manager = await self._ask_manager()
            try:
                secrets = await self._secrets.make("run", task.name, task.secrets)
                around = Surroundings(
                    labels=self._labels,
                    secrets=secrets,
                    init=manager.has_init,
                    gpu_kind=manager.gpu_kind,
                )
                document = job_document(task, around)
                async with held_job(self._engine, document, headers) as service:
                    return await watch_job(
                        self._engine, service, task, on_log, self._listener
                    )
            finally:
                if task.secrets:
                    await settled(self._drop_secrets(task.name))

    async def deploy(self, wanted: Deployment, /) -> DeployedService:
        """Start a service, or change the one of this name, and wait until it is well.

        Replicas are changed one after the other: the new one starts first, or, where
        a node's own port is published, after the old one stopped. The swarm itself
        returns to the old version when a new replica ends or gets unhealthy.
        Cancelling leaves it to the swarm to go on.

        Raises:
            ImageGoneError: A node could not get the image.
            DeployError: The new version does not get well; the old one runs again.
            TargetError: The engine is no manager, or refuses.
            EngineUnavailableError: The engine does not answer.
        """
        headers = await self._headers(wanted.task)
        with swarm_faults(f"{wanted.name} cannot be deployed"):
            manager = await self._ask_manager()
            found = await self._rollouts.deploy(wanted, manager, headers)
            url = await url_of(self._engine, found) if found else None
        return DeployedService(
            self,
            name=wanted.name,
            image=wanted.task.image,
            url=url,
            count=wanted.replicas,
        )

    async def scale(self, name: str, replicas: int, /) -> None:
        """Change how many replicas a service has, and wait until they are well.

        Raises:
            DeployError: A new replica does not get well; the others stay.
            TargetError: There is no service of ours of this name.
        """
        with swarm_faults(f"{name} cannot be scaled"):
            await self._rollouts.scale(name, replicas)

    async def running(self) -> Sequence[Running]:
        """List everything of ours that the swarm holds, by name.

        Raises:
            TargetError: The engine is no manager.
            EngineUnavailableError: It does not answer.
        """
        with swarm_faults("the swarm cannot be listed"):
            return await running_services(self._engine, self._labels)

    async def logs(
        self, name: str, /, *, follow: bool = False
    ) -> AsyncGenerator[LogLine, None]:
        """Iterate over what something of ours writes, on whichever nodes.

        The source of a line is ``REPLICA@NODE``.

        Raises:
            TargetError: There is nothing of ours of this name.
        """
        with swarm_faults(f"the logs of {name} cannot be read"):
            found = await find_services(self._engine, self._labels, name)
            if not found:
                raise gone(name)
            lines = service_logs(
                self._engine, found[-1].id, self._listener, follow=follow
            )
            async with aclosing(lines):
                async for line in lines:
                    yield line

    async def remove(self, name: str, /) -> None:
        """Stop something of ours and remove everything that belongs to it.

        Raises:
            TargetError: There is nothing of ours of this name.
        """
        with swarm_faults(f"{name} cannot be removed"):
            found = await find_services(self._engine, self._labels, name)
            if not found:
                raise gone(name)
            await self._remove(found)
            await self._secrets.remove_of(name)
            await remove_overlay(self._engine, self._labels)

    async def remove_all(self) -> Sequence[str]:
        """Remove everything of ours, secrets and network included; return the names.

        Raises:
            TargetError: The engine is no manager, or refuses.
        """
        with swarm_faults("not all can be removed"):
            found = await find_services(self._engine, self._labels)
            await self._remove(found)
            await self._secrets.remove_of()
            await remove_overlay(self._engine, self._labels)
        return sorted({one.name for one in found})

    async def _headers(self, task: Task) -> dict[str, str]:
        if task.reference is None:
            raise not_startable(
                f"the image of {task.name} is in no registry, and the nodes of a swarm "
                "pull",
                hint="name a registry that all nodes reach (setting `registry`), or "
                "use the target docker",
            )
        registry = task.reference.registry
        return auth_header(registry, await self._credentials.credential(registry))

    async def _ask_manager(self) -> Manager:
        if self._manager is None:
            self._manager = await manager_of(self._engine)
        return self._manager

    async def _remove(self, found: Sequence[Found]) -> None:
        # One that cannot be removed keeps none of the others.
        removing = (remove_service(self._engine, one.id) for one in found)
        for fault in await asyncio.gather(*removing, return_exceptions=True):
            if fault is not None:
                raise fault

    async def _drop_secrets(self, name: str) -> None:
        # Whatever is wrong here was wrong before, and that error is the one to see.
        with suppress(EngineError):
            await self._secrets.remove_of(name)
