"""What a registry is told about who we are, and who knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Credential", "CredentialSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A way to authenticate at one registry; its repr shows no secret.

    Attributes:
        username: The account, empty with an identity token.
        password: The password or access token, empty with an identity token.
        identity_token: An OAuth2 refresh token, empty with a password.
        source: Where it came from, for messages: ``~/.docker/config.json``.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = ""


class CredentialSource(Protocol):
    """Knows the credentials of registries."""

    async def credential(self, registry: str, /) -> Credential | None:
        """Return what to present to ``host[:port]``, or None to stay anonymous."""
        ...
