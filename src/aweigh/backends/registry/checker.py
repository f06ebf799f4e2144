"""Whether a registry has an image, for every platform that is wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aweigh.errors import (
    AuthenticationError,
    AweighError,
    InvalidManifestError,
)
from aweigh.image.checker import Absent, Present, Unknown, Verdict
from aweigh.oci import Index, Manifest, Platform
from aweigh.oci.descriptor import require

if TYPE_CHECKING:
    from aweigh.backends.registry.client import RegistryClient
    from aweigh.oci import Descriptor, Reference

__all__ = ["RegistryChecker"]


class RegistryChecker:
    """Asks the registry itself; a fault is never an answer about the image."""

    name = "registry"

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Say whether ``reference`` exists with all of these platforms.

        Without platforms, existence alone is asked for, and Present names none.
        """
        try:
            return await self._asked(reference, platforms, push=True)
        except AuthenticationError as error:
            return await self._refused(reference, platforms, error)
        except AweighError as error:
            return Unknown(str(error), error.hint)

    async def _asked(
        self, reference: Reference, platforms: frozenset[Platform], *, push: bool
    ) -> Verdict:
        described = await self._client.head_manifest(reference, scope_push=push)
        if described is None:
            return Absent(f"{reference.registry} has no {reference}")
        if not platforms:
            # Whoever asks for none knows them: one HEAD is the whole question.
            return Present(described, frozenset())
        found = await self._platforms(reference, described)
        if found is None:
            return Unknown(
                f"{reference} vanished while it was looked at", "try again in a moment"
            )
        missing = platforms - found
        if missing:
            return Absent(
                f"{reference} has no {', '.join(sorted(map(str, missing)))}"
                f" (only {', '.join(sorted(map(str, found))) or 'no platform'})"
            )
        return Present(described, found)

    async def _platforms(
        self, reference: Reference, described: Descriptor
    ) -> frozenset[Platform] | None:
        pinned = reference.with_digest(described.digest)
        got = await self._client.get_manifest(pinned)
        match got:
            case None:
                return None
            case (Index() as index, _, _):
                return index.platforms
            case (Manifest() as manifest, _, _):
                config = await self._client.read_blob(pinned, manifest.config)
                return frozenset({_platform(config)})

    async def _refused(
        self,
        reference: Reference,
        platforms: frozenset[Platform],
        refused: AuthenticationError,
    ) -> Verdict:
        """Find out what a 401 or 403 means: registries hide what is not there."""
        standing = self._client.standing(reference.registry)
        if standing == "rejected":
            return Unknown(str(refused), refused.hint, refused=True)
        try:
            if standing == "known" and await self._client.can_push(reference):
                return Absent(
                    f"{reference.registry} shows no {reference}, and takes a push to it"
                )
            # Who may only read is refused the token a push needs, not the image.
            return await self._asked(reference, platforms, push=False)
        except AuthenticationError:
            return Unknown(str(refused), refused.hint, refused=True)
        except AweighError as error:
            return Unknown(str(error), error.hint)


def _platform(config: bytes) -> Platform:
    """Read where an image runs from its config (OCI image spec, ``config.md``)."""
    try:
        document = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise InvalidManifestError(
            "the image's config is no JSON",
            hint="the image is damaged, or no container image: push it again",
        ) from error
    body = require(document, dict, where="config")
    return Platform.of(
        require(body.get("os"), str, where="config.os"),
        require(body.get("architecture"), str, where="config.architecture"),
        require(body.get("variant") or "", str, where="config.variant"),
    )
