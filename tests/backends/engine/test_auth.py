"""How the engine is told credentials, and how it says that they are wrong."""

import base64
import json

import pytest

from aweigh.backends.engine.auth import (
    auth_header,
    is_authentication_failure,
    secrets_of,
)
from aweigh.image.credential import Credential


def decoded(registry: str, credential: Credential | None) -> dict[str, str]:
    """Return the document in the header."""
    header = auth_header(registry, credential)["X-Registry-Auth"]
    document: dict[str, str] = json.loads(base64.urlsafe_b64decode(header))
    return document


def test_a_password_is_sent_with_its_address() -> None:
    """The header is base64url, also where plain base64 would have + and /."""
    credential = Credential(username="me", password="~~~???>>>")
    assert decoded("ghcr.io", credential) == {
        "serveraddress": "ghcr.io",
        "username": "me",
        "password": "~~~???>>>",
    }


def test_docker_hub_has_its_own_address() -> None:
    """Identity tokens replace the password; Docker Hub keeps its old address."""
    credential = Credential(username="me", identity_token="token")
    assert decoded("docker.io", credential) == {
        "serveraddress": "https://index.docker.io/v1/",
        "identitytoken": "token",
    }


def test_anonymous_is_an_empty_document() -> None:
    """The header is never left out."""
    assert decoded("ghcr.io", None) == {}


def test_secrets_are_known() -> None:
    """Passwords and tokens are to be hidden; names are not."""
    assert secrets_of(None) == ()
    assert secrets_of(Credential(username="me", password="pw")) == ("pw",)
    assert secrets_of(Credential(identity_token="token")) == ("token",)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("unauthorized: authentication required", True),
        ("no basic auth credentials", True),
        ("denied: requested access to the resource is denied", True),
        ("dial tcp: connection refused", False),
        ("manifest unknown", False),
    ],
)
def test_refusals_are_told_from_other_errors(said: str, expected: bool) -> None:  # noqa: FBT001
    """Only what a login could change counts."""
    assert is_authentication_failure(said) is expected
