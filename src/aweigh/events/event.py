"""What every event is, who hears it, and those that any work can send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Event", "Listener", "Retried", "Waited", "Warned", "silent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; subclasses say what."""


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
