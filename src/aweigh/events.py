"""What happened, as frozen values; who wants to hear it passes a listener.

The library never prints and never configures logging: it hands each event to the
session's listener, in the order in which things happen, on the event loop's thread.
No event holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aweigh.oci import Platform, Reference

__all__ = [
    "BlobPushed",
    "BuildFinished",
    "BuildLogged",
    "BuildStarted",
    "BuildStepFinished",
    "BuildStepStarted",
    "BundleUploaded",
    "Checked",
    "CodeDelivered",
    "Event",
    "FileSkipped",
    "ImageEnsured",
    "ImagePulled",
    "ImagePushed",
    "Listener",
    "PullProgressed",
    "PushProgressed",
    "Retried",
    "ServiceDeployed",
    "TaskFinished",
    "TaskStarted",
    "TreeScanned",
    "UploadProgressed",
    "Waited",
    "Warned",
    "silent",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; subclasses say what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Event):
    """A checker answered whether an image exists.

    Attributes:
        checker: Who answered, such as ``cache`` or ``registry``.
        reference: The image asked for.
        verdict: ``present``, ``absent`` or ``unknown``.
        reason: Why, in the checker's words; empty for a plain Present.
        seconds: How long the answer took.
    """

    checker: str
    reference: Reference
    verdict: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStarted(Event):
    """A builder began with one platform of an image."""

    reference: Reference
    platform: Platform
    builder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStepStarted(Event):
    """A build step began to run, or was found in the builder's cache."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStepFinished(Event):
    """A build step ended.

    Attributes:
        step: The step as the builder names it.
        cached: Whether its result was there already.
        seconds: How long it ran.
    """

    step: str
    cached: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLogged(Event):
    """A running step wrote a line."""

    step: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFinished(Event):
    """A builder is done with one platform of an image."""

    reference: Reference
    platform: Platform
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PushProgressed(Event):
    """Bytes of a layer went to the registry.

    Attributes:
        layer: The layer, as the one who pushes names it.
        done: Bytes sent so far.
        total: Bytes there are, or 0 when nobody knows.
    """

    layer: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobPushed(Event):
    """The registry holds a layer now.

    Attributes:
        layer: The layer, as the one who pushes names it.
        reused: Whether it was there already, or mounted from a neighbour.
        size: Its bytes, which were sent unless it was reused; 0 when nobody knows.
    """

    layer: str
    reused: bool
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePushed(Event):
    """The registry holds the whole image, all its platforms under one index.

    Attributes:
        reference: The index, by digest.
        seconds: How long putting the index took, after the platforms were pushed.
    """

    reference: Reference
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEnsured(Event):
    """``ensure_image`` has its answer.

    Attributes:
        reference: The pinned image.
        origin: ``recalled``, ``found`` or ``built``.
        seconds: From the call to the answer.
    """

    reference: str
    origin: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeScanned(Event):
    """A directory was walked and its contents are known.

    Attributes:
        root: The directory.
        files: How many entries are in.
        size: Bytes of their contents.
        read: How many files had to be read.
        seconds: How long it took.
    """

    root: str
    files: int
    size: int
    read: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSkipped(Event):
    """A socket, device or FIFO was left out of a tree."""

    path: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadProgressed(Event):
    """Files of a bundle went to the store.

    Attributes:
        uri: Where the bundle will be.
        done: Bytes of file content that were packed and sent so far, uncompressed.
        total: Bytes of file content there are.
    """

    uri: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleUploaded(Event):
    """``upload_bundle`` has its answer.

    Attributes:
        uri: Where the bundle is.
        origin: ``recalled``, ``found`` or ``uploaded``.
        uploaded_bytes: What went over the wire for it.
        seconds: From the call to the answer.
    """

    uri: str
    origin: str
    uploaded_bytes: int
    seconds: float


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
class Waited(Event):
    """Somebody else is doing the same work; we wait for the result.

    Attributes:
        purpose: What the holder is doing.
        holder: Who: host and process id, as the holder wrote it.
        seconds: How long we have waited so far.
    """

    purpose: str
    holder: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Event):
    """A request failed in a way that passes, and is made again.

    Attributes:
        what: The request.
        reason: What went wrong, in one line.
        attempt: Which attempt failed, from 1.
        delay: Seconds until the next one.
    """

    what: str
    reason: str
    attempt: int
    delay: float


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something is not as it should be, and the answer is right all the same."""

    message: str
    hint: str


class Listener(Protocol):
    """Hears every event; must return at once and not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take note of an event."""


def silent(_event: Event, /) -> None:
    """Hear nothing: the listener when nobody listens."""
