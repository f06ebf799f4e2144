"""A connection to a container engine: aiodocker, with deadlines and our errors.

Only this module uses aiodocker's client. Its own builds and pushes never close their
response, and an engine goes on for as long as the connection stands; so every operation
here makes its request itself and closes the response: cancelling stops the work.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiodocker import Docker

from aweigh.backends.engine.faults import discovery_faults, request_faults, silence
from aweigh.backends.engine.messages import MessageSplitter
from aweigh.backends.engine.upload import IdleWatch, Upload
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from aweigh.backends.engine.messages import Message

__all__ = ["Deadlines", "Engine", "open_engine"]

_NOT_FOUND = 404
_PING_SECONDS = 5.0
_NO_DEADLINE = aiohttp.ClientTimeout()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the engine may take, in seconds.

    Attributes:
        answer: For connecting and answering one question, in all.
        build: Without a single byte from a build or pull that goes on.
        push: Without a single byte from a push that goes on.
    """

    answer: float = 30.0
    build: float = 600.0
    push: float = 120.0


@asynccontextmanager
async def open_engine(
    host: str | None = None, *, deadlines: Deadlines | None = None
) -> AsyncIterator[Engine]:
    """Find a container engine and hold a client for it; nothing is sent yet.

    Args:
        host: Address such as ``unix:///run/docker.sock``. Without one: the Docker
            context in use, else DOCKER_HOST, else the usual sockets.
        deadlines: How long the engine may take for things.

    Raises:
        EngineUnavailableError: None was found, or the address is unusable.
    """
    with discovery_faults():
        docker = Docker(url=host)
    try:
        yield Engine(docker, deadlines or Deadlines())
    finally:
        await docker.close()


class Engine:
    """Speaks the Docker Engine API; made by `open_engine`.

    Every method raises EngineUnavailableError when the engine gives no usable answer
    in time and EngineError (with ``status``) when it refuses.
    """

    def __init__(self, docker: Docker, deadlines: Deadlines) -> None:
        self._docker = docker
        self.deadlines = deadlines
        # aiodocker replaces the path of a socket in `docker_host` by a dummy name.
        self.host: str = docker._connection_info  # noqa: SLF001

    async def fetch(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> Any | None:
        """Return the JSON at ``path``, or None when the engine answers 404."""
        try:
            return await self.send("GET", path, params=params)
        except EngineError as exc:
            if exc.status == _NOT_FOUND:
                return None
            raise

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        document: object = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> Any:
        """Make one request and return its JSON answer, None when it is empty.

        Cancelled while waiting, the engine may or may not have acted. ``patience`` is
        how many seconds more than usual the work takes that was asked for.
        """
        seconds = self.deadlines.answer + patience
        data = None if document is None else json.dumps(document).encode()
        call = _Call(method, path, params, headers, data)
        try:
            async with (
                asyncio.timeout(seconds),
                self._request(call) as response,
            ):
                with request_faults(self.host):
                    answer = await response.read()
        except TimeoutError as exc:
            raise silence(self.host, path, seconds) from exc
        with request_faults(self.host):
            return json.loads(answer) if answer.strip() else None

    async def ping(self) -> None:
        """Ask for a sign of life; an engine that takes 5 s for one has none."""
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self.send("GET", "version")
        except TimeoutError as exc:
            raise silence(self.host, "version", _PING_SECONDS) from exc

    async def stream(
        self,
        method: str,
        path: str,
        on_bytes: Callable[[bytes], None],
        *,
        idle: float,
        params: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Make a request of any length and hand on what it answers as it comes.

        Cancelling closes the connection at once, which stops the work in the engine.

        Args:
            method: HTTP method.
            path: Path below the API version.
            on_bytes: Is given each piece of the answer.
            idle: Seconds that may pass without a byte in either direction.
            params: Query parameters.
            body: What to send; an error it raises is raised here as it is.
            headers: HTTP headers.
        """
        # A hanging engine is noticed by this question, not after the idle deadline.
        await self.send("GET", "version")
        watch = IdleWatch(idle)
        sent = None if body is None else Upload(body, watch)
        chunks = None if sent is None else sent.chunks
        call = _Call(method, path, params, headers, chunks)
        try:
            async with watch.timeout:
                await self._exchange(call, on_bytes, watch)
        except TimeoutError as exc:
            raise silence(self.host, path, idle) from exc
        except EngineError as exc:
            if sent is not None and sent.failure is not None:
                raise sent.failure from exc
            raise
        finally:
            if sent is not None:
                await sent.close()

    @asynccontextmanager
    async def listen(
        self, method: str, path: str, *, params: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Make a request and yield the pieces of the answer that has begun.

        The answer may pause for as long as it likes; leaving closes the connection.
        """
        call = _Call(method, path, params, None, None)
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self.deadlines.answer):
                    response = await stack.enter_async_context(self._request(call))
            except TimeoutError as exc:
                raise silence(self.host, path, self.deadlines.answer) from exc
            yield self._pieces(response)

    async def stream_messages(
        self,
        path: str,
        on_message: Callable[[Message], None],
        *,
        idle: float,
        params: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """POST, and hand on each JSON message of the answer (see `stream`).

        An ``error`` inside the stream is a message like others, and a stream that
        ends is no proof of success: look for the message that carries the result.
        """
        splitter = MessageSplitter(self.host)

        def on_bytes(piece: bytes) -> None:
            for message in splitter.feed(piece):
                on_message(message)

        await self.stream(
            "POST",
            path,
            on_bytes,
            idle=idle,
            params=params,
            body=body,
            headers=headers,
        )
        for message in splitter.finish():
            on_message(message)

    async def _exchange(
        self, call: _Call, on_bytes: Callable[[bytes], None], watch: IdleWatch
    ) -> None:
        async with self._request(call) as response:
            async for piece in self._pieces(response):
                watch.touch()
                on_bytes(piece)

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        while True:
            with request_faults(self.host):
                piece = await response.content.readany()
            if not piece:
                return
            yield piece

    @asynccontextmanager
    async def _request(self, call: _Call) -> AsyncIterator[aiohttp.ClientResponse]:
        with request_faults(self.host):
            response = await self._docker._do_query(  # noqa: SLF001
                call.path,
                call.method,
                params=dict(call.params or {}),
                data=call.data,
                headers=call.headers,
                timeout=_NO_DEADLINE,
            )
        try:
            yield response
        finally:
            response.close()


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, before it is made."""

    method: str
    path: str
    params: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    data: bytes | AsyncIterator[bytes] | None
