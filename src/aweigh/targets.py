"""The targets that have a name; imported when one is first asked for."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, assert_never, get_args

from aweigh.errors import SpecError
from aweigh.settings import TargetName

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.backends.engine.client import Engine
    from aweigh.events import Listener
    from aweigh.flow.target import Target
    from aweigh.image.credential import CredentialSource

__all__ = ["Targets"]


class Targets:
    """Opens targets by name, each once.

    Args:
        engine: Opens the engine, or returns the open one.
        credentials: Who we are at registries.
        listener: Hears what they do.
    """

    def __init__(
        self,
        engine: Callable[[], Awaitable[Engine]],
        *,
        credentials: CredentialSource,
        listener: Listener,
    ) -> None:
        self._engine = engine
        self._credentials = credentials
        self._listener = listener
        self._opened: dict[TargetName, Target] = {}

    async def named(self, name: str) -> Target:
        """Return the target of this name; its engine answered when it was opened.

        Raises:
            SpecError: No target has this name.
            EngineUnavailableError: The engine does not answer.
        """
        known = _known(name)
        if known not in self._opened:
            engine = await self._engine()
            await engine.ping()
            module = f"aweigh.backends.engine.target.{known}"
            await asyncio.to_thread(importlib.import_module, module)
            self._opened[known] = self._open(known, engine)
        return self._opened[known]

    def _open(self, name: TargetName, engine: Engine) -> Target:
        match name:
            case "docker":
                from aweigh.backends.engine.target.docker import DockerTarget

                return DockerTarget(
                    engine, credentials=self._credentials, listener=self._listener
                )
            case "swarm":
                from aweigh.backends.engine.target.swarm import SwarmTarget

                return SwarmTarget(
                    engine, credentials=self._credentials, listener=self._listener
                )
            case _:
                assert_never(name)


def _known(name: str) -> TargetName:
    for known in get_args(TargetName):
        if known == name:
            return known  # type: ignore[no-any-return]
    raise SpecError(
        f"no target is called {name!r}",
        hint=f"it is one of {', '.join(get_args(TargetName))}, or an object",
    )
