"""Blobs of a registry: whether they are there, and their verified bytes."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from aweigh.backends.registry.body import paced, read_bounded
from aweigh.backends.registry.challenge import Scope
from aweigh.backends.registry.faults import translated
from aweigh.backends.registry.message import Answer, Deadline, Request
from aweigh.errors import RegistryError
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aweigh.backends.registry.transport import Opened, Transport
    from aweigh.oci import Descriptor, Reference

__all__ = ["Blobs"]

_OK = 200
_NOT_FOUND = 404
_ERROR_LIMIT = 64 << 10


class Blobs:
    """The blobs of all registries, for reading."""

    def __init__(self, transport: Transport, *, idle: float) -> None:
        self._transport = transport
        self._idle = idle

    async def has(
        self, reference: Reference, digest: Digest, deadline: Deadline, scope: Scope
    ) -> bool:
        """Tell whether the repository holds a blob."""
        request = _request("HEAD", reference, digest, scope)
        answer = await self._transport.ask(request, deadline)
        if answer.status == _OK and answer.media_type != "text/html":
            return True
        if answer.status == _NOT_FOUND:
            return False
        raise self._transport.refusal(request, answer)

    async def read(
        self,
        reference: Reference,
        descriptor: Descriptor,
        deadline: Deadline,
        *,
        limit: int,
    ) -> bytes:
        """Return a whole, verified blob of at most ``limit`` bytes."""
        scope = Scope.pull(reference.repository)
        request = _request("GET", reference, descriptor.digest, scope)
        if descriptor.size > limit:
            raise RegistryError(
                f"cannot {request.doing}: it has {descriptor.size} bytes and at most"
                f" {limit} were expected",
                hint="is this the image you meant?",
                registry=reference.registry,
            )
        answer = await self._transport.ask(
            request, deadline, limit=max(descriptor.size, _ERROR_LIMIT)
        )
        if answer.status != _OK:
            raise self._transport.refusal(request, answer)
        found = await asyncio.to_thread(Digest.of, answer.body)
        _verify(request, descriptor, found, len(answer.body))
        return answer.body

    async def stream(
        self, reference: Reference, descriptor: Descriptor, deadline: Deadline
    ) -> AsyncGenerator[bytes, None]:
        """Yield a blob in pieces of about 1 MiB; the last `next` verifies it."""
        scope = Scope.pull(reference.repository)
        request = _request("GET", reference, descriptor.digest, scope)
        hasher = hashlib.sha256()
        size = 0
        async with self._transport.stream(request, deadline) as opened:
            if opened.response.status != _OK:
                raise await self._refusal(request, opened)
            async with aclosing(paced(opened.response, idle=self._idle)) as pieces:
                while True:
                    with translated(request, seconds=self._idle):
                        piece = await anext(pieces, b"")
                    if not piece:
                        break
                    size += len(piece)
                    if size > descriptor.size:
                        break
                    await asyncio.to_thread(hasher.update, piece)
                    yield piece
        _verify(request, descriptor, Digest(hasher.hexdigest()), size)

    async def _refusal(self, request: Request, opened: Opened) -> RegistryError:
        response = opened.response
        with translated(request, seconds=self._idle):
            async with asyncio.timeout(self._idle):
                body = await read_bounded(
                    response, request.registry, limit=_ERROR_LIMIT
                )
        answer = Answer(
            status=response.status,
            headers=response.headers,
            body=body,
            foreign=opened.foreign,
        )
        return self._transport.refusal(request, answer)


def _request(
    method: str, reference: Reference, digest: Digest, scope: Scope
) -> Request:
    verb = "look for" if method == "HEAD" else "read"
    return Request(
        method=method,
        registry=reference.registry,
        url=f"/v2/{reference.repository}/blobs/{digest}",
        doing=f"{verb} blob {digest} of {reference.name}",
        scopes=(scope,),
    )


def _verify(
    request: Request, descriptor: Descriptor, digest: Digest, size: int
) -> None:
    if digest == descriptor.digest and size == descriptor.size:
        return
    found = f"{digest} with {size} bytes"
    if size > descriptor.size:
        found = "more bytes than that"
    raise RegistryError(
        f"cannot {request.doing}: expected {descriptor.digest} with {descriptor.size}"
        f" bytes, but {request.registry} sent {found}",
        hint="the registry's data is damaged or was tampered with; push it again",
        registry=request.registry,
    )
