"""How the engine is told a registry's credentials: one header per request."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from aweigh.oci.reference import DOCKER_HUB

if TYPE_CHECKING:
    from aweigh.image.credential import Credential

__all__ = ["auth_header", "is_authentication_failure", "secrets_of"]

# Docker Hub's credentials are kept under its first API's address for ever.
_HUB_ADDRESS = "https://index.docker.io/v1/"
# What registries and the engine say in texts that come without a status code.
_REFUSALS = (
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "incorrect username or password",
    "insufficient_scope",
    "access to the resource is denied",
    "denied:",
)


def auth_header(registry: str, credential: Credential | None) -> dict[str, str]:
    """Return ``X-Registry-Auth`` for a request about one registry.

    Without a credential the header says so: an engine refuses to push without it.
    """
    document: dict[str, str] = {}
    if credential is not None:
        address = _HUB_ADDRESS if registry == DOCKER_HUB else registry
        document["serveraddress"] = address
        if credential.identity_token:
            document["identitytoken"] = credential.identity_token
        else:
            document["username"] = credential.username
            document["password"] = credential.password
    encoded = base64.urlsafe_b64encode(json.dumps(document).encode())
    return {"X-Registry-Auth": encoded.decode()}


def secrets_of(credential: Credential | None) -> tuple[str, ...]:
    """Return what must not be shown."""
    if credential is None:
        return ()
    return tuple(filter(None, (credential.password, credential.identity_token)))


def is_authentication_failure(said: str) -> bool:
    """Tell whether the engine's text means that the registry wants a login."""
    lowered = said.lower()
    return any(refusal in lowered for refusal in _REFUSALS)
