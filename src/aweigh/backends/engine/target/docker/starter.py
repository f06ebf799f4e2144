"""Starts the programs of tasks in containers that this process holds."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aweigh.backends.engine.containers import held_container
from aweigh.backends.engine.target.docker.container import (
    Surroundings,
    container_document,
)
from aweigh.backends.engine.target.docker.network import ensure_network
from aweigh.backends.engine.target.docker.program import started
from aweigh.backends.engine.target.docker.reach import (
    engine_traits,
    is_direct,
    program_address,
    way_to,
)
from aweigh.backends.engine.target.docker.secrets import write_secrets
from aweigh.backends.engine.target.labels import container_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.docker.container import PublishedPort
    from aweigh.backends.engine.target.docker.images import TaskImages
    from aweigh.backends.engine.target.docker.network import Network
    from aweigh.backends.engine.target.docker.program import Program
    from aweigh.backends.engine.target.docker.reach import EngineTraits
    from aweigh.backends.engine.target.labels import Labels
    from aweigh.events import Listener
    from aweigh.flow.target import Kind, OnLog, Task

__all__ = ["ProgramStarter"]


class ProgramStarter:
    """Starts programs in one engine.

    Args:
        engine: Where they run.
        labels: The namespace their containers are in.
        images: Has their images.
        listener: Hears of warnings.
    """

    def __init__(
        self, engine: Engine, labels: Labels, images: TaskImages, listener: Listener
    ) -> None:
        self._engine = engine
        self._labels = labels
        self._images = images
        self._listener = listener
        self._known_traits: EngineTraits | None = None

    async def traits(self) -> EngineTraits:
        """Return what the engine is; it is asked once."""
        if self._known_traits is None:
            self._known_traits = await engine_traits(self._engine)
        return self._known_traits

    async def network(self, task: Task) -> Network:
        """Return the namespace's network; the engine has to have the task's image."""
        return await ensure_network(
            self._engine, self._labels, task.image, self._listener
        )

    @asynccontextmanager
    async def program(self, task: Task, on_log: OnLog) -> AsyncIterator[Program]:
        """Start a task that is to end; its container is removed after the block.

        Raises:
            ImageGoneError: Neither the engine nor the registry has the image.
            EngineError: It cannot be started.
        """
        await self._images.ensure(task)
        network = await self.network(task)
        async with self._held(task, "run", on_log, network) as program:
            yield program

    @asynccontextmanager
    async def server(
        self, task: Task, on_log: OnLog, *, port: int
    ) -> AsyncIterator[tuple[Program, tuple[str, int] | None]]:
        """Start a task that is to listen; yield where it is reached, if it runs.

        Raises:
            ImageGoneError: Neither the engine nor the registry has the image.
            EngineError: It cannot be started.
        """
        await self._images.ensure(task)
        traits = await self.traits()
        network = await self.network(task)
        is_near = await is_direct(traits, self._engine, network)
        ports = () if is_near else (way_to(port, traits),)
        async with self._held(task, "serve", on_log, network, ports) as program:
            found = await self._engine.fetch(f"containers/{program.name}/json")
            yield program, program_address(found or {}, traits, port)

    @asynccontextmanager
    async def _held(
        self,
        task: Task,
        kind: Kind,
        on_log: OnLog,
        network: Network,
        ports: tuple[PublishedPort, ...] = (),
    ) -> AsyncIterator[Program]:
        traits = await self.traits()
        around = Surroundings(
            network=network.id,
            labels=self._labels.of(kind, task.name),
            init=traits.has_init,
            ports=ports,
        )
        name = container_name(self._labels.namespace, task.name)
        document = container_document(task, around)
        async with held_container(
            self._engine, name, document, listener=self._listener
        ):
            if task.secrets:
                user = await self._images.user(task)
                await write_secrets(self._engine, name, task.secrets, user=user)
            async with started(self._engine, name, on_log, self._listener) as program:
                yield program
