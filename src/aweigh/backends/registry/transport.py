"""Gets a request answered: address, authentication, redirects, deadlines, retries."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from aweigh.backends.registry.body import read_bounded
from aweigh.backends.registry.challenge import read_challenges
from aweigh.backends.registry.endpoint import candidates, may_name
from aweigh.backends.registry.faults import (
    TRANSIENT,
    patience,
    refusal,
    translated,
)
from aweigh.backends.registry.message import Answer
from aweigh.concurrency.retry import RetryBudget, retry
from aweigh.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from aweigh.backends.registry.auth import Authenticator
    from aweigh.backends.registry.endpoint import Endpoint
    from aweigh.backends.registry.message import Deadline, Request
    from aweigh.backends.registry.wire import Wire
    from aweigh.events import Listener

__all__ = ["Opened", "Transport", "leads_to"]

SMALL = 64 << 10
_REDIRECTS = 5
_MOVED = frozenset({301, 302, 303, 307, 308})
# The ones after which a request with a body stays what it was (RFC 9110).
_MOVED_WHOLE = frozenset({307, 308})
_UNAUTHORIZED = 401
_BAD_REQUEST = 400
# What TLS looks like to who expects plain HTTP, and the other way round.
_NOT_THIS_SCHEME = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientResponseError,
    aiohttp.ClientOSError,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose body has not been read.

    Attributes:
        response: The answer; whoever opened it closes it.
        foreign: Whether another host than the registry gave it.
    """

    response: aiohttp.ClientResponse
    foreign: bool


class Transport:
    """Sends requests to registries and returns what they answer, whatever it is."""

    def __init__(
        self,
        wire: Wire,
        auth: Authenticator,
        *,
        insecure: Collection[str],
        listener: Listener,
    ) -> None:
        self.auth = auth
        self._wire = wire
        self._insecure = frozenset(insecure)
        self._listener = listener
        self._endpoints: dict[str, Endpoint] = {}
        self.budget = RetryBudget()

    async def ask(
        self, request: Request, deadline: Deadline, *, limit: int = SMALL
    ) -> Answer:
        """Return an answer with a body of at most ``limit`` bytes.

        What passes (429, 5xx, silence) is tried again, up to three times in all, as
        long as the deadline allows; all else is returned, refusals too.

        Raises:
            RegistryUnavailableError: There was no usable answer in time.
            AuthenticationError: A token service refused.
            RegistryError: The answer is too long, or leads where it must not.
        """

        async def attempt() -> Answer:
            with translated(request, seconds=deadline.seconds):
                async with asyncio.timeout_at(deadline.ends):
                    answer = await self.exchange(request, limit=limit)
            if answer.status in TRANSIENT:
                raise self.refusal(request, answer)
            return answer

        return await retry(
            attempt,
            what=f"{request.method} {request.registry}: {request.doing}",
            deadline=deadline.ends,
            listener=self._listener,
            retryable=patience,
            budget=self.budget,
        )

    @asynccontextmanager
    async def stream(
        self, request: Request, deadline: Deadline
    ) -> AsyncIterator[Opened]:
        """Open an answer to be read in pieces; leaving closes it.

        Args:
            request: What to ask; one attempt is made.
            deadline: Until when the headers must be there.

        Raises:
            RegistryError: As `ask`; refusals are returned here too.
        """
        with translated(request, seconds=deadline.seconds):
            async with asyncio.timeout_at(deadline.ends):
                opened = await self.open(request)
        try:
            yield opened
        finally:
            opened.response.close()

    def refusal(self, request: Request, answer: Answer) -> RegistryError:
        """Return the error for an answer that is not what was asked for."""
        return refusal(
            request,
            answer,
            identity=self.auth.identity(request.registry),
            secrets=self.auth.secrets(request.registry),
        )

    async def open(self, request: Request) -> Opened:
        """Find out how the registry is reached, once, and send the request.

        Raises what the HTTP client raises; for use within `translated`.
        """
        known = self._endpoints.get(request.registry)
        if known is not None:
            return await self._authenticated(known, request)
        first, *others = candidates(request.registry, self._insecure)
        if others:
            for endpoint in (first, *others):
                opened = await self._probe(endpoint, request)
                if opened is not None:
                    return opened
        opened = await self._authenticated(first, request)
        self._endpoints[request.registry] = first
        return opened

    async def _probe(self, endpoint: Endpoint, request: Request) -> Opened | None:
        """Send the request this way; None when the other scheme seems to be spoken."""
        try:
            opened = await self._authenticated(endpoint, request)
        except aiohttp.ClientConnectorCertificateError:
            raise
        except _NOT_THIS_SCHEME:
            return None
        response = opened.response
        # So do TLS servers answer plain HTTP; a registry's own 400 names its API.
        if (
            endpoint.plain
            and response.status == _BAD_REQUEST
            and "Docker-Distribution-Api-Version" not in response.headers
        ):
            response.close()
            return None
        self._endpoints[request.registry] = endpoint
        return opened

    async def exchange(self, request: Request, *, limit: int = SMALL) -> Answer:
        """Send the request and read its answer, without any deadline.

        Raises what the HTTP client raises; for use within `translated`.
        """
        opened = await self.open(request)
        try:
            body = await read_bounded(opened.response, request.registry, limit=limit)
        finally:
            opened.response.close()
        return Answer(
            status=opened.response.status,
            headers=opened.response.headers,
            body=body,
            foreign=opened.foreign,
        )

    async def _authenticated(self, endpoint: Endpoint, request: Request) -> Opened:
        presented = await self.auth.current(endpoint, request.scopes)
        opened = await self._follow(endpoint, request, presented)
        if opened.response.status != _UNAUTHORIZED or opened.foreign:
            return opened
        challenge = read_challenges(
            opened.response.headers.getall("WWW-Authenticate", [])
        )
        if challenge is None:
            return opened
        try:
            better = await self.auth.answer(
                endpoint, challenge, request.scopes, refused=presented
            )
        except BaseException:
            opened.response.close()
            raise
        if better is None:
            return opened
        await _finish(opened.response, request)
        return await self._follow(endpoint, request, better)

    async def _follow(
        self, endpoint: Endpoint, request: Request, authorization: str | None
    ) -> Opened:
        """Send the request, and again wherever it is redirected to.

        ``Authorization`` stays home: it is sent only to the registry's own origin, and
        no more once another host had a say.
        """
        url = leads_to(endpoint, endpoint.origin, request.url, request)
        foreign = False
        for _ in range(_REDIRECTS + 1):
            foreign = foreign or url.origin() != endpoint.origin
            headers = dict(request.headers)
            if authorization is not None and not foreign:
                headers["Authorization"] = authorization
            data = None
            if request.body is not None:
                headers["Content-Length"] = str(request.body.length)
                data = request.body.content()
            response = await self._wire.send(
                endpoint, request.method, url, headers=headers, data=data
            )
            place = response.headers.get("Location")
            if response.status not in _MOVED or place is None:
                return Opened(response, foreign)
            response.close()
            if (
                request.method not in ("GET", "HEAD")
                and response.status not in _MOVED_WHOLE
            ):
                raise _misled(request, f"a redirect ({response.status}) of a write")
            url = leads_to(endpoint, url, place, request)
        raise _misled(request, f"more than {_REDIRECTS} redirects")


def leads_to(endpoint: Endpoint, base: URL, place: str, request: Request) -> URL:
    """Return where a Location leads, if we may go there.

    Raises:
        RegistryError: It is no URL, leads from https to http, from a registry outside
            to an address inside our network, or to a link-local one.
    """
    try:
        url = base.join(URL(place, encoded=True))
        usable = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        usable = False
    if not usable or url.user is not None:
        raise _misled(request, "a Location that is no URL of a web service")
    if url.scheme == "http" and (base.scheme == "https" or not endpoint.plain):
        raise _misled(request, f"a Location without https, on {url.host}")
    if not may_name(endpoint, url):
        raise _misled(request, "a Location inside the private network")
    return url.with_fragment(None)


def _misled(request: Request, what: str) -> RegistryError:
    return RegistryError(
        f"cannot {request.doing}: {request.registry} sent {what}",
        hint="check the registry's external URL and what stands in front of it",
        registry=request.registry,
    )


async def _finish(response: aiohttp.ClientResponse, request: Request) -> None:
    """Keep the connection for the next attempt where that costs nothing."""
    length = response.content_length
    if request.body is None and length is not None and length <= SMALL:
        await response.read()
    response.close()
