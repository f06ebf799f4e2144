"""Knows what to present to each registry, and asks only once for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from aweigh.backends.registry.challenge import Basic, Bearer, merge_scopes
from aweigh.backends.registry.token import (
    Token,
    TokenService,
    basic_header,
    identity,
)
from aweigh.errors import AuthenticationError

if TYPE_CHECKING:
    from aweigh.backends.registry.challenge import Challenge, Scope
    from aweigh.backends.registry.endpoint import Endpoint
    from aweigh.backends.registry.wire import Wire
    from aweigh.image.credential import Credential, CredentialSource

__all__ = ["Authenticator", "Standing"]

_UNAUTHORIZED = 401

# Without a credential; with one; with one that a token service does not take.
Standing = Literal["stranger", "known", "rejected"]


class Authenticator:
    """Turns challenges into ``Authorization`` headers and remembers both.

    Nothing is presented before a registry asked for it, and nothing to another host.
    """

    def __init__(self, credentials: CredentialSource, wire: Wire) -> None:
        self._credentials = credentials
        self._wire = wire
        self._challenges: dict[str, Challenge] = {}
        self._known: dict[str, Credential | None] = {}
        self._rejected: set[str] = set()
        self._basic: dict[str, str] = {}
        self._tokens: dict[str, dict[tuple[Scope, ...], Token]] = defaultdict(dict)
        self._locks: dict[tuple[object, ...], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def current(
        self, endpoint: Endpoint, scopes: tuple[Scope, ...]
    ) -> str | None:
        """Return what to present with a first attempt, or None for nothing."""
        match self._challenges.get(endpoint.registry):
            case None:
                return None
            case Basic():
                return self._basic.get(endpoint.registry)
            case Bearer() as bearer:
                return await self._token(endpoint, bearer, scopes, refused=None)

    async def answer(
        self,
        endpoint: Endpoint,
        challenge: Challenge,
        scopes: tuple[Scope, ...],
        *,
        refused: str | None,
    ) -> str | None:
        """Return what to present after a 401, or None when there is nothing better.

        Args:
            endpoint: Who refused.
            challenge: What it asked for.
            scopes: What the request needs.
            refused: What was presented to it.

        Raises:
            AuthenticationError: The token service refuses the credential.
            RegistryError: It is unusable or unavailable.
        """
        self._challenges[endpoint.registry] = challenge
        match challenge:
            case Basic():
                return await self._password(endpoint, refused=refused)
            case Bearer() as bearer:
                wanted = merge_scopes(scopes, bearer.scopes)
                return await self._token(endpoint, bearer, wanted, refused=refused)

    def identity(self, registry: str) -> str:
        """Say as whom we asked, for errors."""
        return identity(self._known.get(registry))

    def standing(self, registry: str) -> Standing:
        """Tell what we are there since we were last asked who we are."""
        if self._known.get(registry) is None:
            return "stranger"
        return "rejected" if registry in self._rejected else "known"

    def secrets(self, registry: str) -> tuple[str, ...]:
        """Return the texts that no error about this registry may hold."""
        headers = [token.header for token in self._tokens[registry].values()]
        headers.append(self._basic.get(registry, ""))
        held = [header.partition(" ")[2] for header in headers]
        if (known := self._known.get(registry)) is not None:
            held += [known.password, known.identity_token]
        return tuple(filter(None, held))

    async def _password(self, endpoint: Endpoint, *, refused: str | None) -> str | None:
        async with self._locks["basic", endpoint.registry]:
            held = self._basic.get(endpoint.registry)
            if held is not None and held != refused:
                return held
            credential = await self._credential(endpoint)
            if credential is None:
                self._basic.pop(endpoint.registry, None)
                return None
            header = basic_header(credential)
            self._basic[endpoint.registry] = header
            return None if header == refused else header

    async def _token(
        self,
        endpoint: Endpoint,
        bearer: Bearer,
        scopes: tuple[Scope, ...],
        *,
        refused: str | None,
    ) -> str:
        """Return a token that covers these scopes; callers share one request."""
        async with self._locks["bearer", endpoint.registry, scopes]:
            held = self._covering(endpoint.registry, scopes, refused)
            if held is not None:
                return held.header
            credential = await self._credential(endpoint)
            service = TokenService(endpoint, bearer, credential)
            try:
                token = await service.fetch(self._wire, scopes)
            except AuthenticationError as error:
                if error.status == _UNAUTHORIZED:
                    self._rejected.add(endpoint.registry)
                raise
            self._rejected.discard(endpoint.registry)
            self._tokens[endpoint.registry][scopes] = token
            return token.header

    def _covering(
        self, registry: str, scopes: tuple[Scope, ...], refused: str | None
    ) -> Token | None:
        tokens = self._tokens[registry]
        for allowed, token in tuple(tokens.items()):
            if not token.usable or token.header == refused:
                del tokens[allowed]
            elif all(any(have.covers(want) for have in allowed) for want in scopes):
                return token
        return None

    async def _credential(self, endpoint: Endpoint) -> Credential | None:
        credential = await self._credentials.credential(endpoint.registry)
        self._known[endpoint.registry] = credential
        return credential
