"""The session that module-level functions share.

There is one session per event loop and settings. A task keeps it open, and closes it a
moment after its last call, or when the loop ends: `asyncio.run` cancels what is left.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from aweigh.session import open_session
from aweigh.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aweigh.session import Session

__all__ = ["sessions", "shared_session"]

IDLE_SECONDS: Final = 1.0


class _Shared:
    """A session that several calls use, the task that keeps it, and how many do."""

    def __init__(self, settings: Settings, siblings: dict[Settings, _Shared]) -> None:
        self.users = 0
        self._settings = settings
        self._siblings = siblings
        self._idle = asyncio.Event()
        self._opened: asyncio.Future[Session] = asyncio.Future()
        self._keeper = asyncio.create_task(self._keep(), name="aweigh session")
        # Whoever closes a loop without `asyncio.run` never heard of this task: asyncio
        # should not complain to them that it was still pending.
        self._keeper._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001

    async def session(self) -> Session:
        """Return the session once it is open; cancelling disturbs nobody else."""
        await asyncio.wait([self._opened])
        return self._opened.result()

    def close_if_idle(self) -> None:
        """Begin to close unless somebody came back."""
        if self.users == 0:
            self._leave()
            self._idle.set()

    async def _keep(self) -> None:
        try:
            async with open_session(self._settings) as session:
                self._opened.set_result(session)
                await self._idle.wait()
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
        finally:
            self._leave()
            self._opened.cancel()

    def _leave(self) -> None:
        """Let the next call open a session of its own."""
        if self._siblings.get(self._settings) is self:
            del self._siblings[self._settings]


sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Settings, _Shared]] = (
    WeakKeyDictionary()
)


@asynccontextmanager
async def shared_session(settings: Settings | None) -> AsyncIterator[Session]:
    """Use the running loop's session for these settings."""
    loop = asyncio.get_running_loop()
    if settings is None:
        settings = await asyncio.to_thread(Settings.load)
    own = sessions.setdefault(loop, {})
    shared = own.get(settings)
    if shared is None:
        shared = own[settings] = _Shared(settings, own)
    shared.users += 1
    try:
        yield await shared.session()
    finally:
        shared.users -= 1
        if shared.users == 0:
            loop.call_later(IDLE_SECONDS, shared.close_if_idle)
