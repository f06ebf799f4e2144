"""Whether new replicas of a service are well: they answer, or they keep running."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from aweigh.backends.engine.target.docker.reach import program_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.docker.reach import EngineTraits

__all__ = ["HealthCheck", "Unwell", "find_unwell"]

_SETTLED_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.1
_FIRST_BAD_STATUS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How to tell that a replica is well.

    Attributes:
        port: The container's port that is asked.
        path: What is asked for; None when it only has to keep running, for 2 s.
        within: Seconds until it has to be well.
    """

    port: int
    path: str | None
    within: float


@dataclass(frozen=True, slots=True)
class Unwell:
    """A replica that does not get well.

    Attributes:
        container: Which.
        reason: Why, to follow the service's name.
    """

    container: str
    reason: str


async def find_unwell(
    engine: Engine,
    traits: EngineTraits,
    containers: Sequence[str],
    check: HealthCheck,
) -> Unwell | None:
    """Wait until all of some started containers are well, or one will not be.

    Raises:
        EngineError: The engine is missing.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    waiting = list(containers)
    timeout = aiohttp.ClientTimeout(total=min(_ANSWER_SECONDS, check.within))
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while waiting:
            container = waiting.pop(0)
            inspected = await engine.fetch(f"containers/{container}/json") or {}
            if ended := _end_of(inspected.get("State") or {}):
                return Unwell(container, ended)
            if check.path is None:
                is_well = clock() - started >= _SETTLED_SECONDS
            else:
                address = program_address(inspected, traits, check.port)
                said = await _ask(session, address, check.path)
                if said and clock() - started > check.within:
                    reason = f"said nothing good at {check.path} for {check.within:g} s"
                    return Unwell(container, f"{reason}: {said}")
                is_well = not said
            if not is_well:
                waiting.append(container)
                await asyncio.sleep(_POLL_SECONDS)
    return None


def _end_of(state: dict[str, Any]) -> str:
    """Return how a container ended; empty while it runs."""
    if state.get("Running") and not state.get("Restarting"):
        return ""
    if state.get("OOMKilled"):
        return "ran out of memory"
    code = state.get("ExitCode")
    return "is gone" if code is None else f"ended with exit code {code}"


async def _ask(
    session: aiohttp.ClientSession, address: tuple[str, int] | None, path: str
) -> str:
    """Return what is wrong with the answer; empty when it is a good one."""
    if address is None:
        return "it has no address"
    host, port = address
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/{path.lstrip('/')}"
    try:
        async with session.get(url, allow_redirects=False) as response:
            bad = response.status >= _FIRST_BAD_STATUS
            return f"it answers {response.status}" if bad else ""
    except TimeoutError:
        return "it does not answer in time"
    except (aiohttp.ClientError, OSError) as exc:
        return f"it does not answer ({type(exc).__name__})"
