"""A registry in memory that speaks the OCI distribution API, faults included."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from aiohttp import web

from aweigh.testing.contents import READS, Contents, refusal
from aweigh.testing.tokens import TokenService

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from aweigh.testing.faults import Fault

__all__ = ["FakeRegistry", "Received"]

_PATH = re.compile(
    r"/v2/(?P<name>.+?)/(?:manifests/(?P<reference>[^/]+)"
    r"|blobs/uploads/(?P<session>[^/]*)|blobs/(?P<digest>sha256:[0-9a-f]{64})"
    r"|referrers/(?P<subject>sha256:[0-9a-f]{64}))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request that reached a `FakeRegistry`.

    Attributes:
        method: HTTP method.
        path: Path without the query.
        query: The query, as it came.
        headers: Its headers.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(slots=True)
class _Planned:
    fault: Fault
    method: str
    path: str
    times: int


class FakeRegistry:
    """A real HTTP server on 127.0.0.1; use it as an async context manager.

    Attributes:
        host: ``127.0.0.1:port``, as references name it.
        received: Every request so far, those for tokens included.
        tokens: Its token service, at ``/token``.
    """

    def __init__(
        self,
        *,
        challenge: Literal["", "basic", "bearer"] = "",
        username: str = "sailor",
        password: str = "anchor",  # noqa: S107 - of a fake
        identity_token: str = "",
        token_life: float = 60.0,
        hides: Literal[0, 401, 403] = 0,
        takes_pushes: bool = True,
        mounts: bool = True,
        says_digest: bool = True,
        referrers: bool = False,
    ) -> None:
        """Describe it; entering the context starts it.

        Args:
            challenge: How it authenticates; without one it lets everybody in.
            username: The account that exists.
            password: Its password.
            identity_token: Its OAuth2 refresh token, if it has one.
            token_life: Seconds that bearer tokens are accepted.
            hides: The status for repositories that do not exist; 0 is an honest 404.
            takes_pushes: Whether uploads are allowed.
            mounts: Whether blobs can be mounted from another repository.
            says_digest: Whether answers have ``Docker-Content-Digest``.
            referrers: Whether it lists what is attached to a manifest (OCI 1.1).
        """
        self.host = ""
        self.received: list[Received] = []
        self.tokens = TokenService(
            username=username,
            password=password,
            identity_token=identity_token,
            life=token_life,
        )
        self.realm = ""
        self._challenge = challenge
        self._hides = hides
        self._takes_pushes = takes_pushes
        self._contents = Contents(
            mounts=mounts, says_digest=says_digest, referrers=referrers
        )
        self._planned: list[_Planned] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start to listen on a free port."""
        app = web.Application(client_max_size=1 << 32)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        self._stack.push_async_callback(runner.cleanup)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.host = f"127.0.0.1:{runner.addresses[0][1]}"
        self.realm = self.realm or f"http://{self.host}/token"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and drop every connection."""
        await self._stack.aclose()

    @property
    def open_uploads(self) -> int:
        """How many uploads were begun and neither finished nor cancelled."""
        return len(self._contents.uploads)

    def requests(self, method: str = "", path: str = "") -> list[Received]:
        """Return the requests with this method whose path contains this text."""
        return [
            request
            for request in self.received
            if request.method == (method or request.method) and path in request.path
        ]

    def fail(
        self, fault: Fault, *, method: str = "", path: str = "", times: int = 1
    ) -> None:
        """Answer the next requests with a fault.

        Args:
            fault: What to do instead of answering.
            method: Only requests with this method.
            path: Only requests whose path contains this.
            times: How many of them.
        """
        self._planned.append(_Planned(fault, method, path, times))

    def add_blob(self, repository: str, content: bytes) -> str:
        """Hold a blob; return its digest."""
        return self._contents.hold_blob(repository, content)

    def add_manifest(
        self, repository: str, tag: str, content: bytes, media_type: str
    ) -> str:
        """Hold a manifest under a tag and its digest; return the digest."""
        return self._contents.hold_manifest(repository, tag, content, media_type)

    def blob(self, repository: str, digest: str) -> bytes | None:
        """Return a blob, if the repository holds it."""
        return self._contents.repository(repository).blobs.get(digest)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.received.append(
            Received(
                method=request.method,
                path=request.path,
                query=request.rel_url.raw_query_string,
                headers=request.headers.copy(),
            )
        )
        for planned in self._planned:
            if planned.times > 0 and _meant(planned, request):
                planned.times -= 1
                return await planned.fault(request)
        if request.path == "/token":
            return await self.tokens.answer(request)
        match = _PATH.fullmatch(request.path)
        if match is None:
            return refusal(404, "NAME_INVALID")
        refused = self._refusal(request, match["name"])
        return refused or await self._contents.answer(request, match)

    def _refusal(self, request: web.Request, name: str) -> web.Response | None:
        reads = request.method in READS
        authorization = request.headers.get("Authorization", "")
        if self._challenge == "basic" and not self.tokens.knows(authorization):
            return self._refused(401, 'Basic realm="fake"')
        action = "pull" if reads else "push"
        allowed = self.tokens.allows(authorization, name, action)
        if self._challenge == "bearer" and not allowed:
            return self._refused(401, self._bearer(name, reads=reads))
        if self._hides and reads and name not in self._contents:
            return self._refused(self._hides, self._bearer(name, reads=reads))
        if not reads and not self._takes_pushes:
            return refusal(403, "DENIED")
        return None

    def _refused(self, status: int, challenge: str) -> web.Response:
        refused = refusal(status, "UNAUTHORIZED" if status == 401 else "DENIED")  # noqa: PLR2004
        if status == 401:  # noqa: PLR2004 - HTTP
            refused.headers.add("WWW-Authenticate", "Negotiate")
            refused.headers.add("WWW-Authenticate", challenge)
        return refused

    def _bearer(self, name: str, *, reads: bool) -> str:
        actions = "pull" if reads else "pull,push"
        return (
            f'Bearer realm="{self.realm}",service="fake",'
            f'scope="repository:{name}:{actions}"'
        )


def _meant(planned: _Planned, request: web.Request) -> bool:
    return planned.path in request.path and planned.method in ("", request.method)
