"""Where tasks run: what a target is told and answers, and the protocols of targets.

`Target` is all that `aweigh.run` needs. Targets that also keep services running are a
`ServiceTarget`; those that can hold a container for a dev loop are a `DevTarget`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from aweigh.errors import SpecError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from typing import Self, TypeAlias

    from aweigh.oci import Reference

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
class Resources:
    """What one container may use; None leaves it to the target.

    Attributes:
        cpus: Processors, in parts if wanted: ``0.5``.
        memory: Bytes.
        gpus: How many GPUs it needs.
    """

    cpus: float | None = None
    memory: int | None = None
    gpus: int = 0

    def __post_init__(self) -> None:
        if (self.cpus is not None and self.cpus <= 0) or self.gpus < 0:
            raise SpecError("resources are less than nothing", hint="ask for more")
        if self.memory is not None and self.memory < _LEAST_MEMORY:
            raise SpecError(
                f"a memory limit of {self.memory} bytes starts nothing",
                hint="resources count bytes: write 512 * 2**20 for 512 MiB",
            )


_LEAST_MEMORY = 6 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A directory of the machine, or a named volume, inside the container.

    Attributes:
        source: An absolute path of the machine that runs the container, or the name
            of a volume.
        target: The absolute path in the container.
        read_only: Whether the container may not change it.
    """

    source: str
    target: str
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``SOURCE:TARGET`` or ``SOURCE:TARGET:ro``.

        Raises:
            SpecError: It is neither, or the target is not absolute.
        """
        source, _, rest = text.partition(":")
        target, _, mode = rest.partition(":")
        if not source or not target.startswith("/") or mode not in {"", "ro", "rw"}:
            raise SpecError(
                f"{text!r} is no mount",
                hint="write /path/here:/path/in/container, with :ro to forbid writing",
            )
        return cls(source=source, target=target, read_only=mode == "ro")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One command in one image, everything that a target has to know of it.

    The image has the code in it, and its configuration says the working directory,
    PYTHONPATH and PATH.

    Attributes:
        name: What the target calls it; of this task alone.
        image: What can be run where the image is: ``repository@digest``, or an image
            id of the engine of this machine.
        reference: Its repository, for credentials; None when it is in no registry:
            then only this machine's engine has it.
        command: Program and arguments; they replace entrypoint and command.
        env: Environment variables besides the image's.
        secrets: What the program finds in files of these names in ``/run/secrets``;
            never in a log, an image or what the target tells about the container.
        resources: What it may use.
        mounts: What it sees of the machine.
        labels: To be attached, besides the target's own.
    """

    name: str
    image: str
    reference: Reference | None
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    resources: Resources = field(default_factory=Resources)
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A service that is wanted.

    Attributes:
        name: Its name; deploying under it again updates it in place.
        task: What each replica runs.
        replicas: How many.
        ports: Published ports, with the container's port each leads to.
        health_path: Asked for by HTTP on the first container port: a replica is
            healthy when the answer is below 400. None: healthy is what keeps running.
    """

    name: str
    task: Task
    replicas: int = 1
    ports: Mapping[int, int] = field(default_factory=dict)
    health_path: str | None = None


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
