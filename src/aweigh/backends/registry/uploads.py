"""Pushes blobs: look, mount from a neighbour, else one session and one PUT."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from aweigh.backends.registry.body import (
    BytesBody,
    FileBody,
    PiecesBody,
    unreadable,
)
from aweigh.backends.registry.challenge import Scope
from aweigh.backends.registry.faults import patience, translated
from aweigh.backends.registry.message import Deadline, Request
from aweigh.concurrency.retry import retry
from aweigh.errors import AuthenticationError, ChangedError, RegistryError
from aweigh.events.build import BlobPushed, PushProgressed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aweigh.backends.registry.blobs import Blobs
    from aweigh.backends.registry.message import Answer
    from aweigh.backends.registry.transport import Transport
    from aweigh.events import Listener
    from aweigh.oci import Descriptor, Reference

__all__ = ["Uploads"]

_CREATED = 201
_ACCEPTED = 202
_STORED = frozenset({201, 202, 204})
_REFUSED = frozenset({401, 403, 405})
# How fast a registry copies a blob to its place after the last byte came, at least.
_COMMIT_RATE = 10 << 20
# The session is gone; a new one will do.
_SESSION_LOST = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_ATTEMPTS = 3
_TELL_EACH = 1 << 20
_LONGEST_WAIT = 120.0
_CANCEL_SECONDS = 5.0


class Uploads:
    """Writes blobs to registries."""

    def __init__(
        self, transport: Transport, blobs: Blobs, *, seconds: float, listener: Listener
    ) -> None:
        self._transport = transport
        self._blobs = blobs
        self._seconds = seconds
        self._listener = listener

    async def push(
        self,
        reference: Reference,
        descriptor: Descriptor,
        source: bytes | Path,
        *,
        mount_from: str | None,
        name: str,
    ) -> bool:
        """Make the repository hold a blob; return whether bytes moved."""
        scope = Scope.push(reference.repository)
        await _check_size(source, descriptor)

        async def attempt() -> bool:
            if await self._blobs.has(
                reference, descriptor.digest, Deadline.after(self._seconds), scope
            ):
                return False
            place = await self._begin(reference, descriptor, mount_from)
            if place is not None:
                await self._send(reference, descriptor, source, place, name)
            return place is not None

        moved = await retry(
            attempt,
            what=f"push {name} to {reference.name}",
            attempts=_ATTEMPTS,
            # Attempts end by their own, moving deadlines, however long they take; what
            # is waited in between is bounded by `_push_patience`.
            deadline=math.inf,
            listener=self._listener,
            retryable=_push_patience,
            budget=self._transport.budget,
        )
        self._listener(BlobPushed(layer=name, reused=not moved, size=descriptor.size))
        return moved

    async def mount(
        self, reference: Reference, descriptor: Descriptor, mount_from: str
    ) -> bool:
        """Make the repository hold a neighbour's blob; return whether it does."""
        answer = await self._mount(reference, descriptor, mount_from)
        if answer is None or answer.status == _CREATED:
            return answer is not None
        place = answer.headers.get("Location")
        if place is not None:
            await self._cancel(self._start_request(reference, "", ()), place)
        return False

    async def allowed(self, reference: Reference, deadline: Deadline) -> bool:
        """Tell whether we may push, by opening an upload and cancelling it."""
        request = self._start_request(reference, "", ())
        try:
            answer = await self._transport.ask(request, deadline)
        except AuthenticationError:
            return False
        if answer.status in _REFUSED:
            return False
        if answer.status != _ACCEPTED:
            raise self._transport.refusal(request, answer)
        place = answer.headers.get("Location")
        if place is not None:
            await self._cancel(request, place)
        return True

    async def _begin(
        self, reference: Reference, descriptor: Descriptor, mount_from: str | None
    ) -> str | None:
        """Mount, or open an upload: where to, or None when it was mounted."""
        request = self._start_request(reference, "", ())
        answer = None
        if mount_from is not None and mount_from != reference.repository:
            answer = await self._mount(reference, descriptor, mount_from)
            if answer is not None and answer.status == _CREATED:
                return None
        if answer is None:
            answer = await self._transport.ask(request, Deadline.after(self._seconds))
        if answer.status != _ACCEPTED:
            raise self._transport.refusal(request, answer)
        return _location(request, answer)

    async def _mount(
        self, reference: Reference, descriptor: Descriptor, neighbour: str
    ) -> Answer | None:
        """Ask for a mount: done, an upload in its place, or None when refused."""
        request = self._start_request(
            reference,
            f"?mount={descriptor.digest}&from={neighbour}",
            (Scope.pull(neighbour),),
        )
        try:
            answer = await self._transport.ask(request, Deadline.after(self._seconds))
        except AuthenticationError:
            # Who may not read the neighbour may still write here.
            return None
        return answer if answer.status in (_CREATED, _ACCEPTED) else None

    async def _send(
        self,
        reference: Reference,
        descriptor: Descriptor,
        source: bytes | Path,
        place: str,
        name: str,
    ) -> None:
        """Send the whole blob with one PUT, as long as it makes progress."""
        watch = asyncio.timeout(self._allowed(descriptor))
        progressed = self._progress(watch, descriptor, name)
        body = (
            PiecesBody(source, progressed=progressed)
            if isinstance(source, bytes)
            else FileBody(source, descriptor.size, progressed=progressed)
        )
        query = "&" if "?" in place else "?"
        request = Request(
            method="PUT",
            registry=reference.registry,
            url=f"{place}{query}digest={descriptor.digest}",
            doing=f"push blob {descriptor.digest} to {reference.name}",
            scopes=(Scope.push(reference.repository),),
            headers={"Content-Type": "application/octet-stream"},
            body=body,
        )
        try:
            with translated(request, seconds=self._seconds):
                async with watch:
                    answer = await self._transport.exchange(request)
        except RegistryError:
            if isinstance(body, FileBody) and body.fault is not None:
                raise body.fault from None
            raise
        finally:
            if isinstance(body, FileBody):
                await body.aclose()
        if answer.status not in _STORED:
            raise self._transport.refusal(request, answer)

    def _progress(
        self, watch: asyncio.Timeout, descriptor: Descriptor, name: str
    ) -> Callable[[int], None]:
        """Return who moves the deadline along, and tells every MiB or so."""
        loop = asyncio.get_running_loop()
        told = 0

        def progressed(done: int) -> None:
            nonlocal told
            whole = done == descriptor.size
            allowed = self._allowed(descriptor) if whole else self._seconds
            watch.reschedule(loop.time() + allowed)
            # A transfer that starts over counts from zero again.
            if whole or not told <= done < told + _TELL_EACH:
                told = done
                self._listener(
                    PushProgressed(layer=name, done=done, total=descriptor.size)
                )

        return progressed

    async def _cancel(self, request: Request, place: str) -> None:
        """Give an upload back; a registry that cannot do it purges it in time."""
        cancel = Request(
            method="DELETE",
            registry=request.registry,
            url=urljoin(request.url, place),
            doing="cancel an upload",
            scopes=request.scopes,
        )
        try:
            await self._transport.ask(cancel, Deadline.after(_CANCEL_SECONDS))
        except RegistryError:
            return

    def _start_request(
        self, reference: Reference, query: str, more: tuple[Scope, ...]
    ) -> Request:
        return Request(
            method="POST",
            registry=reference.registry,
            url=f"/v2/{reference.repository}/blobs/uploads/{query}",
            doing=f"push to {reference.name}",
            # The destination in front: some token servers grant only the first.
            scopes=(Scope.push(reference.repository), *more),
            body=BytesBody(b""),
        )

    def _allowed(self, descriptor: Descriptor) -> float:
        return self._seconds + descriptor.size / _COMMIT_RATE


def _location(request: Request, answer: Answer) -> str:
    place = answer.headers.get("Location")
    if not place:
        raise RegistryError(
            f"cannot {request.doing}: {request.registry} opened an upload and did not"
            " say where",
            hint="the registry, or something in front of it, drops the Location header",
            registry=request.registry,
            status=answer.status,
        )
    # Nearly always an absolute path or URL, and relative to the request if not.
    return urljoin(request.url, place)


async def _check_size(source: bytes | Path, descriptor: Descriptor) -> None:
    if isinstance(source, bytes):
        size, what = len(source), "the content"
    else:
        what = str(source)
        try:
            size = (await asyncio.to_thread(source.stat)).st_size
        except OSError as error:
            raise unreadable(source, error) from error
    if size != descriptor.size:
        raise ChangedError(
            f"{what} has {size} bytes, and {descriptor.digest} was {descriptor.size}",
            hint="do not change files that are being pushed, then try again",
            paths=() if isinstance(source, bytes) else (what,),
        )


def _push_patience(error: BaseException) -> float | None:
    if isinstance(error, RegistryError) and error.code in _SESSION_LOST:
        return 0.0
    wait = patience(error)
    return None if wait is None or wait > _LONGEST_WAIT else wait
