"""What becomes of tasks, services and dev loops on a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.events.event import Event

if TYPE_CHECKING:
    from aweigh.oci import Reference

__all__ = [
    "CodeDelivered",
    "ImagePulled",
    "PullProgressed",
    "ServeEnded",
    "ServeKept",
    "ServeSwitched",
    "ServiceDeployed",
    "TaskFinished",
    "TaskStarted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDelivered(Event):
    """There is an image that has the code, for a target to run.

    Attributes:
        reference: The pinned image, or its id in the engine.
        origin: ``recalled``, ``found`` or ``built``.
        seconds: How long it took, after image and bundle existed.
    """

    reference: str
    origin: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgressed(Event):
    """Bytes of a layer came from the registry to the engine that will run it.

    Attributes:
        layer: The layer, as the engine names it.
        done: Bytes received so far.
        total: Bytes there are.
    """

    layer: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePulled(Event):
    """An engine has an image that it lacked.

    Attributes:
        reference: The image, by digest.
        seconds: How long the pull took.
    """

    reference: Reference
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted(Event):
    """A target was given a task to run.

    Attributes:
        name: The task's name at the target.
        image: What it runs in.
        target: The target's name.
    """

    name: str
    image: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinished(Event):
    """A task's program ended.

    Attributes:
        name: The task's name at the target.
        target: The target's name.
        exit_code: The program's own.
        seconds: From giving it to the target to its end.
    """

    name: str
    target: str
    exit_code: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDeployed(Event):
    """A service runs the version that was wanted, and is well.

    Attributes:
        name: Its name.
        image: What its replicas run.
        target: The target's name.
        url: Where it answers, if it publishes a port.
        seconds: From the call to the answer.
    """

    name: str
    image: str
    target: str
    url: str | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSwitched(Event):
    """A dev loop forwards to a new version of the program from now on.

    Attributes:
        version: Counts the attempts, from 1.
        image: What it runs, with the code in it.
        url: Where it answers.
        seconds: From the edit, or the start, to the switch.
    """

    version: int
    image: str
    url: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeKept(Event):
    """A dev loop could not switch to what was edited, and keeps the version before.

    Attributes:
        version: The version that failed.
        kept: The version that goes on answering.
        reason: What went wrong, with the last lines of the program.
        hint: What to do next.
        seconds: From the edit to the failure.
    """

    version: int
    kept: int
    reason: str
    hint: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeEnded(Event):
    """The program that a dev loop forwards to ended by itself; the next edit helps.

    Attributes:
        version: Which one.
        exit_code: How it ended.
    """

    version: int
    exit_code: int
