"""Asks a token service for a bearer token (distribution token specification).

With a password or anonymously it is a GET; with an identity token an OAuth2 refresh
(POST), or a GET where the service has no POST.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from aweigh.backends.registry.body import read_bounded
from aweigh.backends.registry.endpoint import is_loopback, may_name
from aweigh.backends.registry.faults import refusal
from aweigh.backends.registry.message import Answer, Request
from aweigh.errors import AuthenticationError, RegistryError

if TYPE_CHECKING:
    from aweigh.backends.registry.challenge import Bearer, Scope
    from aweigh.backends.registry.endpoint import Endpoint
    from aweigh.backends.registry.wire import Wire
    from aweigh.image.credential import Credential

__all__ = ["Token", "TokenService", "basic_header", "checked_realm", "identity"]

_TOKEN_LIMIT = 1 << 20
# What the specification says a token lives when its service does not say.
_DEFAULT_LIFE = 60.0
_LONGEST_LIFE = 24 * 3600.0
_MARGIN = 30.0
_MARGIN_SHARE = 0.2
_CLIENT = "aweigh"
_NO_POST = frozenset({404, 405})


@dataclass(frozen=True, slots=True)
class Token:
    """What to present until when.

    Attributes:
        header: The value of ``Authorization``.
        ends: The moment to ask for another one, by the monotonic clock.
    """

    header: str = field(repr=False)
    ends: float

    @property
    def usable(self) -> bool:
        """Whether it will live long enough for a request that starts now."""
        return time.monotonic() < self.ends


@dataclass(frozen=True, slots=True)
class TokenService:
    """The service that a registry's challenge names.

    Attributes:
        endpoint: The registry.
        bearer: Its challenge.
        credential: Who we are there, or None for nobody.
    """

    endpoint: Endpoint
    bearer: Bearer
    credential: Credential | None

    async def fetch(self, wire: Wire, scopes: tuple[Scope, ...]) -> Token:
        """Return a token for these scopes.

        Raises:
            AuthenticationError: The service refuses the credential, or its address is
                one that must not see it.
            RegistryError: It answers something unusable.
        """
        realm = checked_realm(self.endpoint, self.bearer.realm)
        asked = time.monotonic()
        answer = None
        if self.credential is not None and self.credential.identity_token:
            answer = await self._refresh(wire, realm, scopes, self.credential)
        if answer is None or answer.status in _NO_POST:
            answer = await self._get(wire, realm, scopes)
        request = Request(
            method="GET",
            registry=self.endpoint.registry,
            url=str(realm),
            doing=f"get a token from {realm.host}",
            scopes=scopes,
        )
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise refusal(
                request,
                answer,
                identity=identity(self.credential),
                secrets=_secrets(self.credential),
            )
        return _read(request, answer, asked)

    async def _refresh(
        self, wire: Wire, realm: URL, scopes: tuple[Scope, ...], credential: Credential
    ) -> Answer:
        form = aiohttp.FormData(
            {
                "grant_type": "refresh_token",
                "service": self.bearer.service,
                "client_id": _CLIENT,
                "scope": " ".join(map(str, scopes)),
                "refresh_token": credential.identity_token,
            }
        )
        return await self._exchange(
            await wire.send(self.endpoint, "POST", realm, headers={}, data=form)
        )

    async def _get(self, wire: Wire, realm: URL, scopes: tuple[Scope, ...]) -> Answer:
        query = [("service", self.bearer.service)] if self.bearer.service else []
        query += [("scope", str(scope)) for scope in scopes]
        headers = {}
        if self.credential is not None:
            headers["Authorization"] = basic_header(self.credential)
        url = realm.extend_query(query)
        return await self._exchange(
            await wire.send(self.endpoint, "GET", url, headers=headers, data=None)
        )

    async def _exchange(self, response: aiohttp.ClientResponse) -> Answer:
        try:
            body = await read_bounded(
                response, self.endpoint.registry, limit=_TOKEN_LIMIT
            )
        finally:
            response.close()
        return Answer(status=response.status, headers=response.headers, body=body)


def identity(credential: Credential | None) -> str:
    """Say who we are and where we know it from."""
    if credential is None:
        return "without credentials"
    who = "with an identity token" if credential.identity_token else "as "
    name = "" if credential.identity_token else repr(credential.username)
    return f"{who}{name} from {credential.source or 'the given credentials'}"


def basic_header(credential: Credential) -> str:
    """Return ``Authorization`` for Basic authentication."""
    secret = credential.password or credential.identity_token
    pair = f"{credential.username}:{secret}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def checked_realm(endpoint: Endpoint, text: str) -> URL:
    """Return the token service's URL, if a password may go there.

    Raises:
        AuthenticationError: It is not https though the registry is, an address inside
            our network that a registry outside names, or a link-local one.
    """
    try:
        realm = URL(text)
        usable = realm.scheme in ("http", "https") and bool(realm.host)
    except ValueError:
        usable = False
    if not usable or realm.user is not None:
        raise _refused_realm(endpoint, "it is no URL of a web service")
    if realm.scheme == "http" and not (
        endpoint.plain and (is_loopback(realm) or not is_loopback(endpoint.origin))
    ):
        raise _refused_realm(endpoint, "it is not https")
    if not may_name(endpoint, realm):
        raise _refused_realm(endpoint, "it is inside the private network")
    return realm


def _refused_realm(endpoint: Endpoint, reason: str) -> AuthenticationError:
    return AuthenticationError(
        f"{endpoint.registry} names a token service that must not see credentials:"
        f" {reason}",
        hint="check the registry's name and its configuration (realm)",
        registry=endpoint.registry,
    )


def _read(request: Request, answer: Answer, asked: float) -> Token:
    try:
        document = json.loads(answer.body)
        text = document.get("token") or document.get("access_token")
        life = float(document.get("expires_in") or _DEFAULT_LIFE)
    except (ValueError, TypeError, AttributeError, RecursionError):
        text, life = None, 0.0
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise RegistryError(
            f"cannot {request.doing}: the answer holds no token"
            f" ({answer.media_type[:80] or 'no content type'})",
            hint="check the registry's name, the proxy and whether the network wants a "
            "login page",
            registry=request.registry,
            status=answer.status,
        )
    life = min(max(life, 0.0), _LONGEST_LIFE)
    margin = min(_MARGIN, life * _MARGIN_SHARE)
    return Token(f"Bearer {text}", asked + life - margin)


def _secrets(credential: Credential | None) -> tuple[str, ...]:
    if credential is None:
        return ()
    basic = basic_header(credential).removeprefix("Basic ")
    return tuple(filter(None, (credential.password, credential.identity_token, basic)))
