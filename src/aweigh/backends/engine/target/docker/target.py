"""One Docker Engine as a target: tasks, services and dev containers on its machine."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from aweigh.backends.engine.containers import remove_container
from aweigh.backends.engine.target.address import url_at
from aweigh.backends.engine.target.docker.faults import TARGET, gone, target_faults
from aweigh.backends.engine.target.docker.found import (
    describe,
    end_container,
    find,
    orphaned_probes,
)
from aweigh.backends.engine.target.docker.images import TaskImages
from aweigh.backends.engine.target.docker.instance import DockerInstance
from aweigh.backends.engine.target.docker.logs import Source, merged_logs
from aweigh.backends.engine.target.docker.network import remove_network
from aweigh.backends.engine.target.docker.rollout import Rollout, check_deployable
from aweigh.backends.engine.target.docker.starter import ProgramStarter
from aweigh.backends.engine.target.docker.turn import turn
from aweigh.backends.engine.target.labels import LOCK_KIND, Labels
from aweigh.backends.engine.target.service import DeployedService
from aweigh.errors import EngineError, TargetError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.docker.found import Found
    from aweigh.events import Listener
    from aweigh.flow.target import Deployment, LogLine, OnLog, Running, Task
    from aweigh.image.credential import CredentialSource

__all__ = ["DockerTarget"]

# What `docker stop` waits between asking and killing.
_GRACE = 10.0
# What starting, stopping and clearing take besides getting well.
_TURN_SECONDS = 60.0


class DockerTarget:
    """Runs tasks, services and dev containers in one engine.

    Args:
        engine: Where they run.
        credentials: Who we are at registries, for images the engine has to pull.
        listener: Hears of pulls, waits and warnings.
        namespace: What it makes is labelled with this, and on a network of this
            name; it finds and removes nothing else.
        well_within: Seconds in which a new version of a service has to get well.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        credentials: CredentialSource,
        listener: Listener,
        namespace: str = "aweigh",
        well_within: float = 120.0,
    ) -> None:
        self._engine = engine
        self._listener = listener
        self._labels = Labels(namespace)
        self._images = TaskImages(engine, credentials, listener)
        self._starter = ProgramStarter(engine, self._labels, self._images, listener)
        self._well_within = well_within

    @property
    def name(self) -> str:
        """What messages call it."""
        return TARGET

    @property
    def pulls(self) -> bool:
        """Whether only images of a registry can run: the engine's own can, too."""
        return False

    async def run(self, task: Task, on_log: OnLog, /) -> int:
        """Run a task to its end and return its exit code.

        A program that is killed for its memory ends with 137, and a Warned event says
        so. Cancelling sends it the image's stop signal and kills it after 10 s; being
        cancelled once more kills it at once.

        Raises:
            ImageGoneError: Neither the engine nor the registry has the image.
            AuthenticationError: The registry wants other credentials.
            TargetError: It cannot be started, or somebody removed its container.
            EngineUnavailableError: The engine does not answer.
        """
        with target_faults(f"{task.name} cannot be run"):
            async with self._starter.program(task, on_log) as program:
                try:
                    return await program.wait()
                except asyncio.CancelledError:
                    # The container is removed in any case.
                    with suppress(EngineError):
                        await program.stop(_GRACE)
                    raise

    async def start(self, task: Task, on_log: OnLog, /, *, port: int) -> DockerInstance:
        """Start a task whose program is to listen on ``port`` of its container.

        It is also told so in the variable ``PORT``. It has to listen on all addresses
        of its container. Cancelling leaves nothing.

        Raises:
            ImageGoneError: Neither the engine nor the registry has the image.
            AuthenticationError: The registry wants other credentials.
            TargetError: It cannot be started, or ended at once.
            EngineUnavailableError: The engine does not answer.
        """
        task = replace(task, env={**task.env, "PORT": str(port)})
        with target_faults(f"{task.name} cannot be started"):
            async with AsyncExitStack() as stack:
                program, address = await stack.enter_async_context(
                    self._starter.server(task, on_log, port=port)
                )
                if address is None:
                    code = await program.wait()
                    raise TargetError(
                        f"{task.name} ended at once, with exit code {code}",
                        hint="its output says why; it has to go on and listen on "
                        f"port {port}",
                        target=TARGET,
                    )
                return DockerInstance(task.name, address, program, stack.pop_all())

    async def deploy(self, wanted: Deployment, /) -> DeployedService:
        """Start a service, or change the one of this name, and wait until it is well.

        What runs already as wanted is left alone. New replicas start beside the old
        ones, unless they need the same port of the machine: then the old are stopped
        first. Published port 0 is any that is free, another one for each replica.
        Cancelling removes the new replicas and starts the old ones again.

        Raises:
            ImageGoneError: Neither the engine nor the registry has the image.
            AuthenticationError: The registry wants other credentials.
            DeployError: The new version does not get well. The old one, if there was
                one, runs again.
            TargetError: It cannot be done here, or the engine refused.
            EngineUnavailableError: The engine does not answer.
        """
        check_deployable(wanted)
        with target_faults(f"{wanted.name} cannot be deployed"):
            await self._images.ensure(wanted.task)
            traits = await self._starter.traits()
            rollout = Rollout(
                self._engine, self._labels, traits, wanted, self._well_within
            )
            if not (await rollout.look()).is_nothing:
                await self._change(wanted, rollout)
            found = await find(self._engine, self._labels, wanted.name)
            published = [*wanted.ports][:1]
            if published == [0]:
                published = [port for one in found for port in one.ports][:1]
            return DeployedService(
                self,
                name=wanted.name,
                image=wanted.task.image,
                url=url_at(traits.host, published[0]) if published else None,
                count=wanted.replicas,
            )

    async def _change(self, wanted: Deployment, rollout: Rollout) -> None:
        async with turn(
            self._engine,
            self._labels,
            wanted.name,
            wanted.task.image,
            listener=self._listener,
            patience=self._well_within + _TURN_SECONDS,
        ):
            # Whoever had the turn before us may have done it.
            step = await rollout.look()
            if step.is_nothing:
                return
            network = await self._starter.network(wanted.task)
            user = await self._images.user(wanted.task)
            await rollout.do(step, network=network.id, user=user)

    async def running(self) -> Sequence[Running]:
        """List everything of ours that the engine holds, by name.

        Raises:
            EngineError: The engine does not answer.
        """
        found = await find(self._engine, self._labels)
        return describe(found, (await self._starter.traits()).host)

    async def logs(
        self, name: str, /, *, follow: bool = False
    ) -> AsyncGenerator[LogLine, None]:
        """Iterate over what something of ours writes; close the generator when done.

        Lines of several containers say which, and come by time; followed ones as they
        come. A service that is updated is followed into its new version.

        Raises:
            TargetError: There is nothing of ours of this name, or the engine keeps no
                logs that can be read.
            EngineUnavailableError: The engine does not answer.
        """
        with target_faults(f"the log of {name} cannot be read"):
            found = await self._containers(name)
            if not found:
                raise gone(name)
            read: set[str] = set()
            while found:
                several = len(found) + len(read) > 1
                sources = [
                    Source(one.id, one.container if several else "") for one in found
                ]
                log = merged_logs(self._engine, sources, follow=follow)
                async with aclosing(log):
                    async for line in log:
                        yield line
                read.update(one.id for one in found)
                found = [
                    one
                    for one in (await self._containers(name) if follow else ())
                    if one.id not in read
                ]

    async def remove(self, name: str, /) -> None:
        """Stop something of ours and remove everything that belongs to it.

        Its programs get their stop signal, and are killed after 10 s.

        Raises:
            TargetError: There is nothing of ours of this name, or the engine refused.
            EngineUnavailableError: The engine does not answer.
        """
        with target_faults(f"{name} cannot be removed"):
            found = await find(self._engine, self._labels, name)
            if not found:
                raise gone(name)
            await self._end(found)

    async def remove_all(self) -> Sequence[str]:
        """Remove everything of ours, the network included, and return the names.

        Whatever a process of this machine left behind when it was killed is removed
        as well.

        Raises:
            TargetError: The engine refused.
            EngineUnavailableError: The engine does not answer.
        """
        names: set[str] = set()
        with target_faults("not everything can be removed"):
            while found := await find(self._engine, self._labels):
                names.update(one.name for one in found if one.kind != LOCK_KIND)
                await self._end(found)
            for probe in await orphaned_probes(self._engine):
                await remove_container(self._engine, probe)
            await remove_network(self._engine, self._labels)
        return sorted(names)

    async def _containers(self, name: str) -> list[Found]:
        found = await find(self._engine, self._labels, name)
        return [one for one in found if one.kind != LOCK_KIND]

    async def _end(self, found: Sequence[Found]) -> None:
        await asyncio.gather(
            *(end_container(self._engine, one, _GRACE) for one in found)
        )
