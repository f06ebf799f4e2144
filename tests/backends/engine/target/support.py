"""Asking what a service answers, and waiting until something is so."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp


async def get(url: str) -> str:
    """GET some text; the error's name when there is none."""
    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url) as response,
        ):
            return await response.text()
    except (aiohttp.ClientError, OSError) as exc:
        return type(exc).__name__


async def until(
    condition: Callable[[], Awaitable[object]], seconds: float = 20
) -> None:
    """Wait until something asynchronous is true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)
