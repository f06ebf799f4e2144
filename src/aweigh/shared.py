"""The module-level functions, and the session that they share.

There is one session per event loop and settings. A task keeps it open, and closes it a
moment after its last call, or when the loop ends: `asyncio.run` cancels what is left.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aweigh.session import Session, open_session
from aweigh.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from aweigh.bundle.bundle import Bundle
    from aweigh.flow.explain import Plan
    from aweigh.flow.prepare import Ready
    from aweigh.image.image import Image
    from aweigh.image.spec import ImageSpec

__all__ = ["ensure_image", "explain", "fetch_bundle", "prepare", "upload_bundle"]

IDLE_SECONDS = 1.0


async def ensure_image(
    spec: ImageSpec,
    *,
    platforms: Sequence[str] | None = None,
    rebuild: bool = False,
    upgrade: bool = False,
    settings: Settings | None = None,
) -> Image:
    """Return the image of a spec; see `Session.ensure_image`."""
    async with _session(settings) as session:
        return await session.ensure_image(
            spec, platforms=platforms, rebuild=rebuild, upgrade=upgrade
        )


async def upload_bundle(
    directory: str | Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow: bool = False,
    settings: Settings | None = None,
) -> Bundle:
    """Return the bundle of a directory; see `Session.upload_bundle`."""
    async with _session(settings) as session:
        return await session.upload_bundle(
            directory, include=include, exclude=exclude, follow=follow
        )


async def fetch_bundle(
    uri: str, destination: str | Path, *, settings: Settings | None = None
) -> Path:
    """Put a bundle's files somewhere; see `Session.fetch_bundle`."""
    async with _session(settings) as session:
        return await session.fetch_bundle(uri, destination)


async def prepare(
    spec: ImageSpec, directory: str | Path, *, settings: Settings | None = None
) -> Ready:
    """Make image and bundle exist; see `Session.prepare`."""
    async with _session(settings) as session:
        return await session.prepare(spec, directory)


async def explain(
    spec: ImageSpec,
    directory: str | Path | None = None,
    *,
    settings: Settings | None = None,
) -> Plan:
    """Say what `prepare` would do; see `Session.explain`."""
    async with _session(settings) as session:
        return await session.explain(spec, directory)


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


_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Settings, _Shared]] = (
    WeakKeyDictionary()
)


@asynccontextmanager
async def _session(settings: Settings | None) -> AsyncIterator[Session]:
    """Use the running loop's session for these settings."""
    loop = asyncio.get_running_loop()
    if settings is None:
        settings = await asyncio.to_thread(Settings.load)
    sessions = _sessions.setdefault(loop, {})
    shared = sessions.get(settings)
    if shared is None:
        shared = sessions[settings] = _Shared(settings, sessions)
    shared.users += 1
    try:
        yield await shared.session()
    finally:
        shared.users -= 1
        if shared.users == 0:
            loop.call_later(IDLE_SECONDS, shared.close_if_idle)
