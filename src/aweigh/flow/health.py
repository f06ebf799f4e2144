"""Finds out whether a program that was just started answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aweigh.errors import DeployError
from aweigh.flow.http1 import Head, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.flow.target import Instance

__all__ = ["ended", "wait_until_healthy"]

_SOONEST: Final = 0.02
_LATEST: Final = 0.25
_UNWELL: Final = 500


async def wait_until_healthy(
    instance: Instance,
    path: str | None,
    *,
    within: float,
    target: str,
    log: Sequence[str],
) -> None:
    """Return when a program answers.

    Args:
        instance: What was started.
        path: Asked for by HTTP; every answer below 500 will do: an application need
            not have a page there. None: it need only accept connections.
        within: Seconds it has.
        target: Where it runs, for messages.
        log: Its last lines, filled while it runs.

    Raises:
        DeployError: It ended, or did not answer in time.
    """
    ending = asyncio.ensure_future(instance.wait())
    asking = asyncio.ensure_future(_ask_until_well(instance.address, path, within))
    try:
        await asyncio.wait({ending, asking}, return_when="FIRST_COMPLETED")
        if ending.done():
            raise ended(ending.result(), target=target, log=log)
        if why := asking.result():
            host, port = instance.address
            raise DeployError(
                f"it is not healthy after {within:.0f} s: {why}",
                hint="it has to listen on all addresses (0.0.0.0, not 127.0.0.1) and "
                f"on the port in PORT; it was asked for at {host}:{port}",
                target=target,
                log=log,
            )
    finally:
        ending.cancel()
        asking.cancel()
        await asyncio.gather(ending, asking, return_exceptions=True)


def ended(code: int, *, target: str, log: Sequence[str]) -> DeployError:
    """Return the error for a program that is to keep running and did not."""
    return DeployError(
        f"the program ended with exit code {code}",
        hint="see its last lines above; a server keeps running until it is stopped",
        target=target,
        log=log,
    )


async def _ask_until_well(
    address: tuple[str, int], path: str | None, within: float
) -> str:
    """Ask until the answer is good; why it was not when the time was over."""
    why = ""
    pause = _SOONEST
    try:
        async with asyncio.timeout(within):
            while why := await _ask(address, path):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LATEST)
    except TimeoutError:
        return why or f"GET {path} is not answered"
    return ""


async def _ask(address: tuple[str, int], path: str | None) -> str:
    """Ask once; return what is wrong, empty when nothing is."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError as error:
        return f"nothing listens there ({error.strerror or error})"
    try:
        if path is None:
            return ""
        host, port = address
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "User-Agent: aweigh\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        answer = Head.response(await Source(reader).head())
    except OSError as error:
        return f"it accepts connections and breaks them off: {error}"
    finally:
        writer.close()
    if answer is None:
        return f"it accepts connections, but GET {path} has no HTTP answer"
    if answer.status >= _UNWELL:
        return f"GET {path} answers {answer.status}"
    return ""
