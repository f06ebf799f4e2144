"""Pushing what the engine built, and seeing that it arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aweigh.backends.engine.auth import (
    auth_header,
    is_authentication_failure,
    secrets_of,
)
from aweigh.backends.engine.messages import message_error
from aweigh.backends.engine.text import clean_line
from aweigh.errors import (
    AuthenticationError,
    EngineError,
    EngineUnavailableError,
    InvalidDigestError,
    PushError,
)
from aweigh.events.build import BlobPushed, PushProgressed
from aweigh.oci import Digest

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.messages import Message
    from aweigh.events import Listener
    from aweigh.image.credential import Credential, CredentialSource
    from aweigh.oci import Descriptor, Reference

__all__ = ["ManifestHead", "push_image"]


class ManifestHead(Protocol):
    """Knows what a reference points at in its registry."""

    async def head_manifest(self, reference: Reference, /) -> Descriptor | None:
        """Return the descriptor of a manifest, or None when there is none."""
        ...


async def push_image(
    engine: Engine,
    reference: Reference,
    *,
    credentials: CredentialSource,
    registry: ManifestHead,
    listener: Listener,
) -> Digest:
    """Push a tagged image and return the digest of its manifest.

    The engine's word is not enough: the registry has to have the tag with the digest
    that the engine reports. Cancelling stops the push; blobs that arrived stay in the
    registry without a manifest that names them.

    Raises:
        AuthenticationError: The registry wants other credentials.
        PushError: The push failed, or the registry has something else.
        EngineUnavailableError: The engine stopped answering.
        RegistryError: The registry did not say what it has.
    """
    credential = await credentials.credential(reference.registry)
    heard = _PushMessages(listener)
    try:
        await engine.stream_messages(
            f"images/{reference.name}/push",
            heard.feed,
            idle=engine.deadlines.push,
            params={"tag": reference.tag},
            headers=auth_header(reference.registry, credential),
        )
    except EngineUnavailableError:
        raise
    except EngineError as exc:
        raise _failed(reference, str(exc), credential) from exc
    if heard.error:
        raise _failed(reference, heard.error, credential)
    if heard.digest is None:
        raise PushError(
            f"the engine at {engine.host} ended the push of {reference} without a "
            "result",
            hint="it may have been restarted: try again",
        )
    await _confirm(registry, reference, heard.digest)
    return heard.digest


class _PushMessages:
    """Hears a push; keeps its result, tells a listener the rest."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.error = ""
        self.digest: Digest | None = None

    def feed(self, message: Message) -> None:
        self.error = self.error or message_error(message)
        aux = message.get("aux")
        if isinstance(aux, dict) and "Digest" in aux:
            self.digest = _digest(aux["Digest"])
        layer, status = message.get("id"), message.get("status")
        if isinstance(layer, str) and isinstance(status, str):
            self._tell(layer, status, message.get("progressDetail"))

    def _tell(self, layer: str, status: str, detail: object) -> None:
        if status == "Pushing" and isinstance(detail, dict):
            done, total = _count(detail.get("current")), _count(detail.get("total"))
            # While it packs, the engine counts past the size it expected.
            total = max(done, total) if total else 0
            self._listener(PushProgressed(layer=layer, done=done, total=total))
        elif status == "Pushed":
            self._listener(BlobPushed(layer=layer, reused=False))
        elif status == "Layer already exists" or status.startswith("Mounted from"):
            self._listener(BlobPushed(layer=layer, reused=True))


async def _confirm(
    registry: ManifestHead, reference: Reference, pushed: Digest
) -> None:
    descriptor = await registry.head_manifest(reference)
    if descriptor is not None and descriptor.digest == pushed:
        return
    found = "nothing" if descriptor is None else str(descriptor.digest)
    raise PushError(
        f"the engine pushed {reference} as {pushed}, and the registry has {found}",
        hint="somebody else may be pushing this tag, or engine and registry see "
        "different servers under this name: try again",
    )


def _failed(
    reference: Reference, said: str, credential: Credential | None
) -> AuthenticationError | PushError:
    reason = clean_line(said, secrets_of(credential))
    if is_authentication_failure(said):
        who = f"as {credential.username!r}" if credential else "without credentials"
        return AuthenticationError(
            f"{reference.registry} does not let us push {reference} ({who}): {reason}",
            hint=f"log in with an account that may push: docker login "
            f"{reference.registry}",
            registry=reference.registry,
        )
    return PushError(
        f"the engine could not push {reference}: {reason}",
        hint="the engine itself talks to the registry: check that it can reach it, and "
        "that it trusts its certificate",
    )


def _digest(value: object) -> Digest | None:
    try:
        return Digest.parse(str(value))
    except InvalidDigestError:
        return None


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
