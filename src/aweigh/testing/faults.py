"""Ways in which an HTTP server can fail its client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fault", "answers", "cuts", "drips", "hangs", "redirects", "resets"]

_LONG = 3600.0


class Fault(Protocol):
    """Answers a request in place of the server."""

    async def __call__(self, request: web.Request, /) -> web.StreamResponse:
        """Answer it, badly."""
        ...


def answers(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Fault:
    """Answer with exactly this."""

    async def fault(_request: web.Request, /) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return fault


def redirects(location: str, status: int = 307) -> Fault:
    """Send the client elsewhere."""
    return answers(status, headers={"Location": location})


def hangs() -> Fault:
    """Take the request and say nothing."""

    async def fault(_request: web.Request, /) -> web.StreamResponse:
        await asyncio.sleep(_LONG)
        return web.Response()

    return fault


def cuts(body: bytes, headers: Mapping[str, str] | None = None) -> Fault:
    """Promise a whole body, send half of it and close the connection."""

    async def fault(request: web.Request, /) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        _abort(request)
        return response

    return fault


def drips(
    body: bytes, headers: Mapping[str, str] | None = None, *, pause: float = 0.05
) -> Fault:
    """Send one byte at a time, with a pause after each."""

    async def fault(request: web.Request, /) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        for start in range(len(body)):
            await response.write(body[start : start + 1])
            await asyncio.sleep(pause)
        return response

    return fault


def resets() -> Fault:
    """Close the connection without an answer."""

    async def fault(request: web.Request, /) -> web.StreamResponse:
        _abort(request)
        return web.Response()

    return fault


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
