"""What a registry asks for with 401: ``WWW-Authenticate`` and token scopes.

Grammar: RFC 9110 section 11.6.1; Bearer parameters and scopes as the distribution
project's token specification has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Basic", "Bearer", "Challenge", "Scope", "merge_scopes", "read_challenges"]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_PART = re.compile(
    rf'(?P<key>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))'
    rf"|(?P<scheme>{_TOKEN})"
)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Basic:
    """The registry wants user name and password with each request."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """The registry wants a token that somebody else hands out.

    Attributes:
        realm: URL of the one who does.
        service: What to call the registry there.
        scopes: What the refused request would have needed.
    """

    realm: str
    service: str = ""
    scopes: tuple[Scope, ...] = ()


Challenge = Basic | Bearer


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token allows in one repository.

    Attributes:
        repository: Its path in the registry.
        actions: Such as ``pull`` and ``push``.
    """

    repository: str
    actions: frozenset[str]

    @classmethod
    def pull(cls, repository: str) -> Self:
        """What reading needs."""
        return cls(repository, frozenset({"pull"}))

    @classmethod
    def push(cls, repository: str) -> Self:
        """What writing needs."""
        return cls(repository, frozenset({"pull", "push"}))

    def covers(self, other: Scope) -> bool:
        """Tell whether this allows all that the other one does."""
        return self.repository == other.repository and self.actions >= other.actions

    def __str__(self) -> str:
        return f"repository:{self.repository}:{','.join(sorted(self.actions))}"


def read_challenges(headers: Iterable[str]) -> Challenge | None:
    """Choose among everything a registry would accept: Bearer, else Basic."""
    chosen: Challenge | None = None
    for header in headers:
        for scheme, parameters in _split(header):
            if scheme == "bearer" and "realm" in parameters:
                return Bearer(
                    realm=parameters["realm"],
                    service=parameters.get("service", ""),
                    scopes=tuple(_scopes(parameters.get("scope", ""))),
                )
            if scheme == "basic":
                chosen = Basic()
    return chosen


def merge_scopes(
    wanted: tuple[Scope, ...], asked: tuple[Scope, ...]
) -> tuple[Scope, ...]:
    """Add what the registry says is missing, in front.

    In front because some token servers grant only the first scope of a request.
    """
    merged = {scope.repository: scope.actions for scope in wanted}
    missing = [
        scope for scope in asked if not any(have.covers(scope) for have in wanted)
    ]
    for scope in missing:
        merged[scope.repository] = scope.actions | merged.get(
            scope.repository, frozenset()
        )
    order = dict.fromkeys(scope.repository for scope in (*missing, *wanted))
    return tuple(Scope(repository, merged[repository]) for repository in order)


def _split(header: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    for part in _PART.finditer(header):
        if part["scheme"]:
            found.append((part["scheme"].lower(), {}))
        elif found:
            quoted = part["quoted"]
            value = part["bare"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            found[-1][1].setdefault(part["key"].lower(), value)
    return found


def _scopes(text: str) -> Iterable[Scope]:
    for word in text.split():
        kind, _, rest = word.partition(":")
        repository, colon, actions = rest.rpartition(":")
        if kind == "repository" and colon and repository and actions:
            yield Scope(repository, frozenset(actions.split(",")))
