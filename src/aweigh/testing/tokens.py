"""The token service of a `FakeRegistry`, and its memory of who may do what."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TokenService"]


@dataclass(slots=True, kw_only=True)
class TokenService:
    """Hands out bearer tokens (distribution token specification).

    Attributes:
        username: The account that may pull and push; others may pull without one.
        password: Its password.
        identity_token: Its refresh token; empty to accept none.
        life: Seconds a token is accepted.
        says_life: Whether answers tell how long that is.
        oauth: Whether there is a POST; 404 otherwise.
        granted: How many tokens were handed out.
    """

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    life: float = 60.0
    says_life: bool = True
    oauth: bool = True
    granted: int = 0
    _rights: dict[str, tuple[float, dict[str, set[str]]]] = field(
        default_factory=dict, repr=False
    )

    def knows(self, authorization: str) -> bool:
        """Tell whether a header holds the account's name and password."""
        pair = f"{self.username}:{self.password}".encode()
        return authorization == f"Basic {base64.b64encode(pair).decode()}"

    def allows(self, authorization: str, repository: str, action: str) -> bool:
        """Tell whether a header holds a living token for this."""
        token = authorization.removeprefix("Bearer ")
        ends, rights = self._rights.get(token, (0.0, {}))
        return ends > time.monotonic() and action in rights.get(repository, set())

    def revoke(self) -> None:
        """Accept no token that was handed out so far."""
        self._rights.clear()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request for a token."""
        if request.method == "POST":
            if not self.oauth:
                return web.json_response({}, status=404)
            form = await request.post()
            given = str(form.get("refresh_token", ""))
            if not self.identity_token or given != self.identity_token:
                return _refused()
            return self._grant(str(form.get("scope", "")).split(), name="access_token")
        authorization = request.headers.get("Authorization", "")
        if not authorization:
            return self._grant(request.query.getall("scope", []), only={"pull"})
        if not self.knows(authorization) and not self._knows_identity(authorization):
            return _refused()
        return self._grant(request.query.getall("scope", []))

    def _knows_identity(self, authorization: str) -> bool:
        if not self.identity_token:
            return False
        decoded = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        return decoded.partition(":")[2] == self.identity_token

    def _grant(
        self,
        scopes: Iterable[str],
        *,
        only: set[str] | None = None,
        name: str = "token",
    ) -> web.Response:
        rights: dict[str, set[str]] = {}
        for scope in scopes:
            _, repository, actions = scope.split(":")
            asked = set(actions.split(","))
            rights[repository] = asked if only is None else asked & only
        token = secrets.token_urlsafe(16)
        self._rights[token] = (time.monotonic() + self.life, rights)
        self.granted += 1
        body: dict[str, object] = {name: token}
        if self.says_life:
            body["expires_in"] = self.life
        return web.json_response(body)


def _refused() -> web.Response:
    error = {"code": "UNAUTHORIZED", "message": "incorrect username or password"}
    return web.json_response({"errors": [error]}, status=401)
