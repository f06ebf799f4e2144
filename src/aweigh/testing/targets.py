"""A target that runs nothing and remembers what it was asked for."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh.errors import ImageGoneError, TargetError
from aweigh.flow.target import LogLine, Running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from aweigh.flow.target import Deployment, OnLog, Service, Task

__all__ = ["FakeService", "FakeTarget"]


@dataclass(slots=True, kw_only=True)
class FakeTarget:
    """Ends every task at once, and keeps every service for ever.

    It is a `aweigh.flow.target.Target` and a `ServiceTarget`.

    Attributes:
        name: What messages call it.
        pulls: Whether it says that its machines pull.
        exit_code: How every task ends.
        lines: What every task writes.
        gone: How often it still says that an image is gone.
        tasks: What it was asked to run, the first one first.
        deployments: What it was asked to deploy.
        services: What it keeps, by name.
        stopped: The names of tasks that were cancelled.
        started: Set when the first task has begun.
        gate: Tasks wait for it; open unless a test closes it.
    """

    name: str = "fake"
    pulls: bool = False
    exit_code: int = 0
    lines: tuple[str, ...] = ()
    gone: int = 0
    tasks: list[Task] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    services: dict[str, FakeService] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Open the gate."""
        self.gate.set()

    async def run(self, task: Task, on_log: OnLog, /) -> int:
        """Write the lines and end once the gate is open."""
        self.tasks.append(task)
        self._look_for(task)
        for line in self.lines:
            on_log(LogLine(text=line, stream="stdout"))
        self.started.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped.append(task.name)
            raise
        return self.exit_code

    async def deploy(self, wanted: Deployment, /) -> Service:
        """Keep a service."""
        self.deployments.append(wanted)
        self._look_for(wanted.task)
        service = FakeService(self, wanted)
        self.services[wanted.name] = service
        return service

    async def running(self) -> Sequence[Running]:
        """List the services."""
        return [
            self.services[name].running(self.name) for name in sorted(self.services)
        ]

    async def logs(
        self, name: str, /, *, follow: bool = False
    ) -> AsyncGenerator[LogLine, None]:
        """Iterate over the lines that every program writes."""
        del follow
        self._service(name)
        for line in self.lines:
            yield LogLine(text=line, stream="stdout", source=name)

    async def remove(self, name: str, /) -> None:
        """Forget a service."""
        self._service(name)
        del self.services[name]

    async def remove_all(self) -> Sequence[str]:
        """Forget all services."""
        names = sorted(self.services)
        self.services.clear()
        return names

    def _service(self, name: str) -> FakeService:
        if name not in self.services:
            raise TargetError(
                f"{self.name} has no {name}", hint="deploy it", target=self.name
            )
        return self.services[name]

    def _look_for(self, task: Task) -> None:
        if self.gone > 0:
            self.gone -= 1
            raise ImageGoneError(
                f"{self.name} cannot find {task.image}",
                hint="it was deleted",
                target=self.name,
            )


@dataclass(frozen=True, slots=True)
class FakeService:
    """A service of a `FakeTarget`.

    Attributes:
        target: Who keeps it.
        wanted: What was asked for.
    """

    target: FakeTarget
    wanted: Deployment

    @property
    def name(self) -> str:
        """Its name."""
        return self.wanted.name

    @property
    def image(self) -> str:
        """What it would run."""
        return self.wanted.task.image

    @property
    def url(self) -> str | None:
        """Where it would answer."""
        published = next(iter(self.wanted.ports), None)
        return None if published is None else f"http://127.0.0.1:{published}"

    @property
    def replicas(self) -> int:
        """How many there would be."""
        return self.wanted.replicas

    def logs(self, *, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        """Iterate over the lines that every program writes."""
        return self.target.logs(self.name, follow=follow)

    async def remove(self) -> None:
        """Have the target forget it."""
        await self.target.remove(self.name)

    def running(self, target: str) -> Running:
        """Describe it as `ServiceTarget.running` does."""
        return Running(
            name=self.name,
            kind="deploy",
            target=target,
            image=self.image,
            state="running",
            replicas=(self.replicas, self.replicas),
            url=self.url,
            since=dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
        )
