"""Manifests and indexes of a registry: ask, read, write, delete."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.backends.registry.body import BytesBody
from aweigh.backends.registry.challenge import Scope
from aweigh.backends.registry.faults import not_a_registry
from aweigh.backends.registry.message import Answer, Deadline, Request
from aweigh.errors import InvalidDigestError, RegistryError
from aweigh.oci import Descriptor, Digest, Index, Manifest, describe, parse_manifest
from aweigh.oci.manifest import INDEX_TYPES, MANIFEST_TYPES

if TYPE_CHECKING:
    from aweigh.backends.registry.transport import Transport
    from aweigh.oci import Reference

__all__ = ["Manifests"]

_LIMIT = 8 << 20
# Without all four, registries answer 404 or convert what they have.
_ACCEPT = ", ".join(sorted(INDEX_TYPES) + sorted(MANIFEST_TYPES))
_DIGEST = "Docker-Content-Digest"
_SUBJECT = "OCI-Subject"
_OK = 200
_NOT_FOUND = 404
_WRITTEN = frozenset({200, 201, 202})
# Their headers tell everything; asking again at once would only make it worse.
_SAY_ALL = frozenset({429, 503})
# By the token service: the registry was not even asked.
_REFUSED = frozenset({401, 403})
_ABSENT = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND", "BLOB_UNKNOWN"})
_SLOW_TO_PARSE = 256 << 10


class Manifests:
    """The manifests of all registries."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def head(
        self, reference: Reference, deadline: Deadline, scope: Scope
    ) -> Descriptor | None:
        """Return what a reference points at, or None for a registry's own 404."""
        request = self._request("HEAD", reference, scope, "look for")
        try:
            answer = await self._transport.ask(request, deadline)
        except RegistryError as error:
            if error.status is None or error.status in _SAY_ALL | _REFUSED:
                raise
        else:
            if answer.status == _NOT_FOUND and answer.from_registry:
                return None
            if answer.status == _OK:
                described = _described(request, answer, reference)
                if described is not None:
                    return described
        # A HEAD has no body: only a GET tells why, or what the headers left out.
        got = await self.get(reference, deadline, scope)
        return None if got is None else got[1]

    async def get(
        self, reference: Reference, deadline: Deadline, scope: Scope
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        """Return a verified document, or None for a registry's own 404."""
        request = self._request("GET", reference, scope, "read")
        answer = await self._transport.ask(request, deadline, limit=_LIMIT)
        if _is_absent(answer):
            return None
        if answer.status != _OK:
            raise self._transport.refusal(request, answer)
        if answer.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            raise not_a_registry(request, answer)
        found = describe(answer.body, answer.media_type)
        promised = _promised(request, answer)
        for expected in filter(None, (reference.digest, promised)):
            if found.digest != expected:
                raise _damaged(request, expected, found.digest)
        if len(answer.body) > _SLOW_TO_PARSE:
            document = await asyncio.to_thread(
                parse_manifest, answer.body, answer.media_type
            )
        else:
            document = parse_manifest(answer.body, answer.media_type)
        return document, found, answer.body

    async def put(
        self,
        reference: Reference,
        content: bytes,
        media_type: str,
        deadline: Deadline,
    ) -> Descriptor:
        """Write a document under a tag or its digest."""
        described, _ = await self._put(reference, content, media_type, deadline)
        return described

    async def put_referrer(
        self,
        reference: Reference,
        content: bytes,
        media_type: str,
        deadline: Deadline,
    ) -> bool:
        """Write a manifest with a subject; tell whether the registry took note of it.

        Distribution spec 1.1, "Pushing Manifests with Subject".
        """
        _, answer = await self._put(reference, content, media_type, deadline)
        return _SUBJECT in answer.headers

    async def _put(
        self,
        reference: Reference,
        content: bytes,
        media_type: str,
        deadline: Deadline,
    ) -> tuple[Descriptor, Answer]:
        described = describe(content, media_type)
        request = self._request(
            "PUT",
            reference,
            Scope.push(reference.repository),
            "write",
            media_type=media_type,
            content=content,
        )
        if reference.digest not in (None, described.digest):
            raise _damaged(request, reference.digest, described.digest)
        answer = await self._transport.ask(request, deadline)
        if answer.status not in _WRITTEN:
            raise self._transport.refusal(request, answer)
        stored = _promised(request, answer)
        if stored not in (None, described.digest):
            raise _damaged(request, described.digest, stored)
        return described, answer

    async def delete(self, reference: Reference, deadline: Deadline) -> None:
        """Delete what the reference names; what is gone already is fine."""
        request = self._request(
            "DELETE", reference, Scope.push(reference.repository), "delete"
        )
        answer = await self._transport.ask(request, deadline)
        if answer.status not in _WRITTEN and not _is_absent(answer):
            raise self._transport.refusal(request, answer)

    def _request(
        self,
        method: str,
        reference: Reference,
        scope: Scope,
        verb: str,
        *,
        media_type: str = "",
        content: bytes | None = None,
    ) -> Request:
        return Request(
            method=method,
            registry=reference.registry,
            url=f"/v2/{reference.repository}/manifests/{reference.target}",
            doing=f"{verb} {reference}",
            scopes=(scope,),
            headers={"Content-Type": media_type} if media_type else {"Accept": _ACCEPT},
            body=None if content is None else BytesBody(content),
        )


def _described(
    request: Request, answer: Answer, reference: Reference
) -> Descriptor | None:
    """Read a descriptor off the headers; None when they say too little."""
    if answer.media_type == "text/html":
        raise not_a_registry(request, answer)
    digest = _promised(request, answer)
    length = answer.headers.get("Content-Length", "")
    known = answer.media_type in INDEX_TYPES | MANIFEST_TYPES
    if digest is None or not known or not length.isdecimal():
        return None
    if reference.digest not in (None, digest):
        raise _damaged(request, reference.digest, digest)
    return Descriptor(media_type=answer.media_type, digest=digest, size=int(length))


def _is_absent(answer: Answer) -> bool:
    """Tell whether a registry itself said that there is no such thing."""
    return (
        answer.status == _NOT_FOUND
        and not answer.foreign
        and answer.error[0] in _ABSENT
    )


def _promised(request: Request, answer: Answer) -> Digest | None:
    """Return the digest the registry says the content has."""
    text = answer.headers.get(_DIGEST)
    if text is None:
        return None
    try:
        return Digest.parse(text)
    except InvalidDigestError as error:
        raise RegistryError(
            f"cannot {request.doing}: {request.registry} sent {text[:80]!r} as digest",
            hint="the registry is not one we can work with, or was tampered with",
            registry=request.registry,
            status=answer.status,
        ) from error


def _damaged(
    request: Request, expected: Digest | None, found: Digest | None
) -> RegistryError:
    return RegistryError(
        f"cannot {request.doing}: expected {expected}, but {request.registry}"
        f" has {found}",
        hint="the registry's data is damaged or was tampered with; push it again",
        registry=request.registry,
    )
