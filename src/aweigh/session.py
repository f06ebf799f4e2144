"""Open resources and the calls that use them, until the session is left."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aweigh.backends.localdb import open_localdb
from aweigh.calls import Session
from aweigh.events import silent
from aweigh.settings import Settings
from aweigh.wiring import Backends

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from aweigh.events import Listener

__all__ = ["Session", "open_session"]


def open_session(
    settings: Settings | None = None,
    *,
    listener: Listener = silent,
    clock: Callable[[], float] = time.time,
) -> AbstractAsyncContextManager[Session]:
    """Open a session; leaving it ends what it runs and closes what it opened.

    Args:
        settings: How to behave; `Settings.load()` when None.
        listener: Hears every event of this session.
        clock: Seconds since the epoch, for the ages of what is remembered.

    Raises:
        SettingsError: The settings cannot be loaded.
    """
    return _Opening(settings, listener, clock)


class _Opening:
    """A session from entering to leaving.

    Not an async generator: a loop that ends closes all of those at the same time, the
    local database's as well, and two would then close one database.
    """

    def __init__(
        self,
        settings: Settings | None,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._clock = clock
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Session:
        settings = self._settings
        if settings is None:
            settings = await asyncio.to_thread(Settings.load)
        async with AsyncExitStack() as stack:
            memory = await stack.enter_async_context(
                open_localdb(
                    settings.cache_dir,
                    listener=self._listener,
                    clock=self._clock,
                    prune_probability=settings.prune_probability,
                )
            )
            # Backends are opened later and are closed before memory, but not before
            # what still uses them has ended.
            opened = await stack.enter_async_context(AsyncExitStack())
            session = Session(
                settings,
                memory,
                Backends(settings, memory, self._listener, opened),
                listener=self._listener,
                clock=self._clock,
            )
            stack.push_async_callback(session.aclose)
            self._stack = stack.pop_all()
        return session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            # The coroutine is destroyed after its loop: nothing can be awaited. The
            # database closes itself, and the rest has no life without a loop.
            return None
        return await self._stack.__aexit__(kind, error, trace)
