"""Where tasks run: the protocols of targets, what they are told and what they answer.

`Target` is all that `aweigh.run` needs. Targets that also keep services running are a
`ServiceTarget`; those that can hold a container for a dev loop are a `DevTarget`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from aweigh.flow.task import Deployment, Mount, Resources, Task

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, Callable, Sequence
    from typing import TypeAlias

    OnLog: TypeAlias = Callable[["LogLine"], None]

__all__ = [
    "Deployment",
    "DevTarget",
    "Instance",
    "Kind",
    "LogLine",
    "Mount",
    "Resources",
    "Running",
    "Service",
    "ServiceTarget",
    "Target",
    "Task",
]

Kind = Literal["run", "deploy", "serve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line that a program wrote.

    Attributes:
        text: The line without its end.
        stream: Where it was written to.
        at: When, by the clock of the machine that ran it.
        source: Which container of several; empty when there is one.
    """

    text: str
    stream: Literal["stdout", "stderr"]
    at: dt.datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Something of ours that a target holds.

    Attributes:
        name: Its name at the target.
        kind: Which flow started it.
        target: The target's name.
        image: What it runs.
        state: In one word of the target's: ``running``, ``exited``, ``updating``...
        replicas: How many containers run, and how many are wanted.
        url: Where it answers, if it publishes a port.
        since: When it was started.
    """

    name: str
    kind: Kind
    target: str
    image: str
    state: str
    replicas: tuple[int, int]
    url: str | None
    since: dt.datetime


class Service(Protocol):
    """A deployed service."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def image(self) -> str:
        """What its replicas run, by digest."""
        ...

    @property
    def url(self) -> str | None:
        """Where its first published port answers; None when it publishes none."""
        ...

    @property
    def replicas(self) -> int:
        """How many there are to be."""
        ...

    def logs(self, *, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        """Iterate over what all replicas write; close the generator when done."""
        ...

    async def remove(self) -> None:
        """Stop it and remove everything that belongs to it."""
        ...


@runtime_checkable
class Target(Protocol):
    """Where tasks run to completion."""

    @property
    def name(self) -> str:
        """What messages call it, such as ``docker``."""
        ...

    @property
    def pulls(self) -> bool:
        """Whether its machines pull; then only images of a registry can run."""
        ...

    async def run(self, task: Task, on_log: OnLog, /) -> int:
        """Run a task to its end and return its exit code.

        Every line the program writes is given to ``on_log``, the last one before this
        returns. However it ends, nothing of the task is left; cancelling stops the
        program first.

        Raises:
            ImageGoneError: The image is not where it was said to be.
            TargetError: The task cannot be started, or nobody knows how it ended.
        """
        ...


@runtime_checkable
class ServiceTarget(Target, Protocol):
    """A target that keeps services running."""

    async def deploy(self, wanted: Deployment, /) -> Service:
        """Start a service, or change the one of this name, and wait until it is well.

        Cancelling leaves the old version, or the new one being started; never both
        for good.

        Raises:
            ImageGoneError: The image is not where it was said to be.
            DeployError: The new version does not get well. The old one, if there was
                one, runs again.
            TargetError: The target refused, or does not answer.
        """
        ...

    async def running(self) -> Sequence[Running]:
        """List everything of ours that the target holds, by name."""
        ...

    def logs(
        self, name: str, /, *, follow: bool = False
    ) -> AsyncGenerator[LogLine, None]:
        """Iterate over what something of ours writes.

        Raises:
            TargetError: There is nothing of ours of this name.
        """
        ...

    async def remove(self, name: str, /) -> None:
        """Stop something of ours and remove everything that belongs to it.

        Raises:
            TargetError: There is nothing of ours of this name.
        """
        ...

    async def remove_all(self) -> Sequence[str]:
        """Remove everything of ours, networks included, and return the names."""
        ...


class Instance(Protocol):
    """A container that a dev loop holds."""

    @property
    def name(self) -> str:
        """Its name at the target."""
        ...

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where its program can be reached from this process."""
        ...

    async def wait(self) -> int:
        """Wait until its program ends, and return the exit code."""
        ...

    async def stop(self, *, grace: float = 10.0) -> None:
        """Ask the program to end, kill it after ``grace`` seconds, remove all of it."""
        ...


@runtime_checkable
class DevTarget(Target, Protocol):
    """A target that can hold a container for the process that asked for it."""

    async def start(self, task: Task, on_log: OnLog, /, *, port: int) -> Instance:
        """Start a task whose program is to listen on ``port`` of its container.

        It is also told so in the variable ``PORT``. Cancelling leaves nothing.

        Raises:
            ImageGoneError: The image is not where it was said to be.
            TargetError: The task cannot be started.
        """
        ...
