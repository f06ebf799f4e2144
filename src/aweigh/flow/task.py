"""What a target is told: a task or a service, and what each may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from aweigh.oci import Reference

__all__ = ["Deployment", "Mount", "Resources", "Task"]

_LEAST_MEMORY = 6 << 20


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
        env: Environment variables besides the image's; no repr shows them, for people
            put credentials there.
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
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
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
