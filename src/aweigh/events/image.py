"""What a call for an image finds out, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.events.event import Event

if TYPE_CHECKING:
    from aweigh.oci import Reference

__all__ = [
    "Checked",
    "ImageEnsured",
    "ImagePushed",
]


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
