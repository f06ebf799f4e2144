"""What a build does, step by step, and what it pushes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.events.event import Event

if TYPE_CHECKING:
    from aweigh.oci import Platform, Reference

__all__ = [
    "BlobPushed",
    "BuildFinished",
    "BuildLogged",
    "BuildStarted",
    "BuildStepFinished",
    "BuildStepStarted",
    "PushProgressed",
]


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
