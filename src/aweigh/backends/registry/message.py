"""One request to a registry and its answer, as plain values."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from multidict import CIMultiDictProxy

    from aweigh.backends.registry.challenge import Scope

__all__ = ["Answer", "Body", "Deadline", "Request", "media_type"]

_API_VERSION = "Docker-Distribution-Api-Version"
_MESSAGE_LIMIT = 200


class Body(Protocol):
    """What a request carries; it can be sent more than once."""

    @property
    def length(self) -> int:
        """Its size in bytes."""
        ...

    def content(self) -> bytes | AsyncIterator[bytes]:
        """Return it from the beginning."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a registry.

    Attributes:
        method: HTTP method.
        registry: Host and port as references name it.
        url: Absolute path, or the absolute URL that the registry sent us to.
        doing: What it is for, to go after "cannot" in an error.
        scopes: What a token for it must allow.
        headers: Headers, without anything secret.
        body: What it carries.
    """

    method: str
    registry: str
    url: str
    doing: str
    scopes: tuple[Scope, ...]
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    body: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer.

    Attributes:
        status: HTTP status.
        headers: Its headers.
        body: Its content, at most as long as the asker allowed.
        foreign: Whether another host than the registry gave it, after a redirect.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes = field(default=b"", repr=False)
    foreign: bool = False

    @property
    def media_type(self) -> str:
        """Its media type without parameters, or empty."""
        return media_type(self.headers)

    @property
    def from_registry(self) -> bool:
        """Whether a registry's API wrote it, and nothing that stands in between."""
        return not self.foreign and (
            _API_VERSION in self.headers or self.error[0] is not None
        )

    @property
    def error(self) -> tuple[str | None, str]:
        """The first error code of the body, if any, and its message, cut."""
        try:
            first = json.loads(self.body)["errors"][0]
            code = first["code"]
            message = first.get("message") or ""
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None, ""
        if not isinstance(code, str) or not (code.isascii() and code.isprintable()):
            return None, ""
        line = " ".join(str(message).split())
        return code[:_MESSAGE_LIMIT], _printable(line[:_MESSAGE_LIMIT])


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment until which something must be done.

    Attributes:
        seconds: How long it was when it was set.
        ends: The moment, by the event loop's clock.
    """

    seconds: float
    ends: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Set one that many seconds from now."""
        return cls(seconds, asyncio.get_running_loop().time() + seconds)


def media_type(headers: Mapping[str, str]) -> str:
    """Return the media type of ``Content-Type`` without its parameters."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
